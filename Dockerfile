# syntax=docker/dockerfile:1
# docker build -t corsproxy .
# docker run --read-only --cap-drop ALL -p 8080:8080 -v ./corsproxy.yaml:/etc/corsproxy/corsproxy.yaml:ro corsproxy
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python -m venv /opt/corsproxy
COPY requirements/run.txt requirements/run.txt
RUN /opt/corsproxy/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY corsproxy corsproxy
# The compiled files are shipped, because the running container writes nothing.
RUN /opt/corsproxy/bin/pip install --no-cache-dir --no-deps . && /opt/corsproxy/bin/python -m compileall -q /opt/corsproxy

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="corsproxy" \
      org.opencontainers.image.description="A CORS reverse proxy for legacy APIs" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/corsproxy /opt/corsproxy
ENV PATH=/opt/corsproxy/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CORSPROXY_LISTEN=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["corsproxy"]
