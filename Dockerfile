# Two images from one file: `jobs` scores, migrates, watches and serves Prefect; `dashboards` has Superset beside it.
# Neither has a compiler, an installer, a test tool or an embedded Postgres, and neither runs as root.
ARG PYTHON_IMAGE=python:3.11-slim

# --- what is below everything: a small system, our user, an empty place for state --------------------------------------
FROM ${PYTHON_IMAGE} AS system
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --home-dir /state --no-create-home --shell /usr/sbin/nologin creditlens \
    && install -d -o creditlens -g creditlens -m 0700 /state /archive
COPY .ci/slim.sh /slim.sh
RUN /slim.sh system && rm /slim.sh

# --- what is installed, in stages that are thrown away -----------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS tools
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
RUN python -m venv /pip
WORKDIR /app

FROM tools AS packages
COPY flows/requirements.txt flows/requirements.txt
RUN python -m venv --without-pip .venv \
    && /pip/bin/pip --python .venv/bin/python install --no-cache-dir --no-compile --require-hashes \
        -r flows/requirements.txt
COPY .ci/slim.sh .ci/strip_libraries.py /ci/
RUN /ci/slim.sh packages .venv/lib/python3*/site-packages

# Our own code, which changes more often than what it needs, is a layer of its own.
FROM packages AS code
COPY requirements.txt .
# What our package is built with, pinned as everywhere.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements.txt > /setuptools.txt \
    && /pip/bin/pip install --no-cache-dir --require-hashes --target /builder -r /setuptools.txt
COPY . .
RUN PYTHONPATH=/builder /pip/bin/pip --python .venv/bin/python install --no-deps --no-build-isolation --no-index -e . \
    && mkdir /own && cd / && cp -a --parents app/flows app/db app/scoring app/migrations app/superset_assets \
        app/LICENSE app/.venv/bin/creditlens app/.venv/lib/python3*/site-packages/*creditlens* /own

FROM tools AS superset
COPY superset_assets/requirements.txt superset_assets/requirements.txt
RUN python -m venv --without-pip .venv-superset \
    && /pip/bin/pip --python .venv-superset/bin/python install --no-cache-dir --no-compile --require-hashes \
        -r superset_assets/requirements.txt
COPY .ci/slim.sh .ci/strip_libraries.py /ci/
RUN /ci/slim.sh packages .venv-superset/lib/python3*/site-packages

# --- the images ------------------------------------------------------------------------------------------------------
FROM scratch AS runtime
COPY --from=system / /
# Compiled code is kept beside the state, as the root may be read-only.
ENV PATH=/app/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/state \
    CREDITLENS_STATE=/state PYTHONPYCACHEPREFIX=/state/cache/python PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
VOLUME /state
# A night is put right and its ledger closed on SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["creditlens"]

FROM runtime AS jobs
LABEL org.opencontainers.image.title="creditlens-jobs" \
    org.opencontainers.image.description="Nightly credit scoring: migrations, nights, schedule, watch, Prefect's server" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /app/.venv /app/.venv
COPY --from=code /own /
CMD ["up", "--foreground", "--no-dashboards"]

FROM runtime AS dashboards
LABEL org.opencontainers.image.title="creditlens-dashboards" \
    org.opencontainers.image.description="The dashboards of creditlens: Superset, provisioned from files"
COPY --from=packages /app/.venv /app/.venv
COPY --from=superset /app/.venv-superset /app/.venv-superset
COPY --from=code /own /
EXPOSE 8088
HEALTHCHECK --interval=10s --timeout=10s --start-period=5m --retries=6 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8088/login/', timeout=9)"]
CMD ["dashboards", "--foreground"]
