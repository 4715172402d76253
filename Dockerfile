# Two images from one file: `jobs` scores, `dashboards` has Superset beside it.
FROM python:3.11-slim AS jobs
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --create-home creditlens && mkdir /state && chown creditlens /state
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index -e .
USER creditlens
ENV CREDITLENS_STATE=/state
ENTRYPOINT ["creditlens"]
CMD ["up", "--foreground", "--no-dashboards"]

FROM python:3.11-slim AS superset
WORKDIR /app
COPY superset_assets/requirements.txt superset_assets/requirements.txt
RUN python -m venv .venv-superset && .venv-superset/bin/pip install --no-cache-dir --require-hashes -r superset_assets/requirements.txt

FROM jobs AS dashboards
COPY --from=superset /app/.venv-superset /app/.venv-superset
EXPOSE 8088
CMD ["dashboards", "--foreground"]
