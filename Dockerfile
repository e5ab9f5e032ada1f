# syntax=docker/dockerfile:1
# docker build -t corsproxy .
# docker run --read-only --cap-drop ALL -p 8080:8080 -v ./corsproxy.yaml:/etc/corsproxy/corsproxy.yaml:ro corsproxy
#
# The first stage needs pip and strip, the second nothing but Python of the same version.
ARG BUILD_IMAGE=python:3.13-bookworm
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${BUILD_IMAGE} AS build
# For a build without an index: PIP_NO_INDEX=1 and PIP_FIND_LINKS=/wheels, with the wheels mounted there.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
WORKDIR /src
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/corsproxy
COPY requirements/run.txt requirements/build.txt requirements/
RUN /opt/pip/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
 && /opt/pip/bin/pip --python /opt/corsproxy/bin/python install --no-cache-dir --require-hashes --no-compile -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY corsproxy corsproxy
RUN /opt/pip/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w /tmp/wheel . \
 && /opt/pip/bin/pip --python /opt/corsproxy/bin/python install --no-cache-dir --no-deps --no-index --no-compile /tmp/wheel/*.whl
# Debug symbols are four fifths of what the wheels bring, tests and C sources most of the rest. The compiled files are shipped, because
# the running container writes nothing.
COPY tools/slim tools/slim
RUN tools/slim /opt/corsproxy && /opt/corsproxy/bin/python -m compileall -q /opt/corsproxy/lib

FROM ${PYTHON_IMAGE}
# Whoever publishes the image knows where: --build-arg SOURCE=https://…
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=
ARG SOURCE=
ARG DOCUMENTATION=
LABEL org.opencontainers.image.title="corsproxy" \
      org.opencontainers.image.description="A CORS reverse proxy for legacy APIs: one YAML policy, and it explains itself" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${DOCUMENTATION}"
COPY --from=build /opt/corsproxy /opt/corsproxy
ENV PATH=/opt/corsproxy/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CORSPROXY_LISTEN=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["corsproxy", "probe"]
ENTRYPOINT ["corsproxy"]
