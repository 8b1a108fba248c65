// OpenTelemetry's own receiver: it takes OTLP over HTTP and passes each batch of spans on as JSON. For the tests of traces.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	metrics "go.opentelemetry.io/otel/metric/noop"
	traces "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// noExtensions is a host without any.
type noExtensions struct{}

func (noExtensions) GetExtensions() map[component.ID]component.Component { return nil }

// passedOn posts each batch to the sink. An error goes back to the client as one of the receiver.
func passedOn(sink string) func(context.Context, ptrace.Traces) error {
	return func(ctx context.Context, batch ptrace.Traces) error {
		body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(batch)
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, sink+"/v1/traces", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode >= 300 {
			return fmt.Errorf("the sink answered %s", answer.Status)
		}
		return nil
	}
}

func run(ctx context.Context, address, sink string) error {
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	asked := map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}}
	if err := confmap.NewFromStringMap(asked).Unmarshal(config); err != nil {
		return err
	}
	next, err := consumer.NewTraces(passedOn(sink))
	if err != nil {
		return err
	}
	settings := receiver.Settings{
		ID: component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{
			Logger:         zap.NewExample(),
			TracerProvider: traces.NewTracerProvider(),
			MeterProvider:  metrics.NewMeterProvider(),
			Resource:       pcommon.NewResource(),
		},
	}
	receiving, err := factory.CreateTraces(ctx, settings, config, next)
	if err != nil {
		return err
	}
	if err := receiving.Start(ctx, noExtensions{}); err != nil {
		return err
	}
	<-ctx.Done()
	return receiving.Shutdown(context.WithoutCancel(ctx))
}

func main() {
	address := flag.String("listen", "", "host:port of OTLP over HTTP")
	sink := flag.String("sink", "", "the URL that gets the spans as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *address, *sink); err != nil {
		log.Fatal(err)
	}
}
