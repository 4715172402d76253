FROM python:3.11-slim
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
CMD ["up", "--foreground"]
