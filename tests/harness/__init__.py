"""What tests share. Look here before you write a helper: a test holds this map complete.

absurd         facts that are valid by schema and absurd by value, seeded.
access         the access matrix: which caller gets which answer from which route.
api_process    the API alone, as a process, until the test ends.
authority      two certificate authorities: one that the test trusts, and a stranger.
bench_results  results of the bench suite, made without any measurement.
browser        Chromium on pages of the platform, and axe's rules for them.
buyers         people who buy over HTTP while hosts come and go, each request with one key.
certificates   makes certificates for loopback, as PEM files.
command_line   runs `circle` against the test's own services.
command_logs   both topics of a partition, as a worker leaves them: seeded commands and their facts.
compose_stack  the stack of compose.yaml in containers, and a drop with buyers who do not give up.
debian         programs from Debian's packages, unpacked into the cache where they are missing.
door           a door over HTTP: bought tickets, staff, scans, live messages.
drop           a ticket drop without HTTP: commands on the topic, and the answers on the log.
edge           the HTTP edge alone: our protocol and errors, with a few routes and limits.
fact_logs      logs of facts from random commands, for readers of facts.
faults         what tests/faults share: their brokers, a backlog, a pause past the session, an outcome.
flows          runs a dataflow, writes records for it, and waits for its effects.
histories      hand-made histories for the checker, sound or broken on purpose.
hook_server    an organizer's webhook server: keeps calls, and answers as the test says.
hostile        a town where a stranger writes to the commands topic, too.
hosts          hosts on one machine: network namespaces with addresses, faults and clocks of their own.
http_crowd     people who ask over HTTP while the broker is away, and repeat with the same keys.
impatient      presses Ctrl-C at a chosen step of a tool.
kafka_connect  stock Kafka Connect, which writes the records that it reads to a file.
kafka_console  Kafka's own console consumer, which shows the records of a topic.
kafka_ui       Kaskade, a stock user interface for Kafka, in a terminal.
latecomers     people who ask over HTTP for a sold-out event, and repeat with the same keys.
leftovers      ends every process that a test started.
machines       the platform on many hosts, which a test takes away and brings back.
mail_server    a real SMTP server: keeps mails, and answers as the test says.
missing_tools  skips a test whose tool cannot be had, and fails it where all tools are promised.
native         the compiled twins, where there is a C compiler.
openapi_tools  pinned linters and generators for the OpenAPI document.
otlp_collector The receiver of OpenTelemetry's collector, which hands its spans to the test.
page_steps     follows the steps of a page in a copy of the repository.
pausable       `circle` with a worker or a read side that stops itself in its next transaction, when asked.
plain_http     HTTP without TLS, whose clients read no certificates.
pooler         PgBouncer in front of the embedded PostgreSQL, in each of its modes.
prometheus     A real Prometheus and promtool, from Debian's package.
redis_cluster  three nodes of Valkey with all slots, and the clients' refusal of them.
registries     schema registries: a small one in this process, and Apicurio's on the JVM.
scratch        temporary files in memory, where there is plenty.
screenshots    makes the pictures of the console that the guide shows.
seating_model  best available seats by trying every choice, with no code of ours.
secured_kafka  Apache Kafka with TLS, credentials and an authorizer.
shop           people and events over HTTP: a caller, an event on sale, a reservation.
skewed_redis   A way to Redis on which its clock is wrong.
stage          the services and the four dataflows without the API, for fault tests.
stopped_at_once  an API process that gets SIGTERM at a step of its start.
stripe_server  plays Stripe: its documented shapes, idempotency keys and a ledger.
suspended      holds a process for a block, all threads of it.
switches       takes one guard out of the running platform; the checker must find the damage.
tcp_proxy      a proxy of connections, as a process: each goes to the next backend that accepts it.
terminals      runs a program in the foreground of its own terminal.
third_party    programs of third parties: pinned, and installed once for all test processes.
tls_proxy      TLS in front of a service whose build has none.
token_server   an OIDC server that issues OAUTHBEARER's tokens.
towns          a simulated town's facts on the log, in batches, and as rows.
two_ways       an API process with two ports: hot routes the slim way, or all requests Sanic's way.
virtual_time   An event loop whose time jumps to the next timer.
words          commands and facts with defaults, and `given(…).when(…).then(…)`.
workers        dataflows as processes, to kill, pause and count.
"""
