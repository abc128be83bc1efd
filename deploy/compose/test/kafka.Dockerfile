# Stands in for apache/kafka where that cannot be pulled; the jars are mounted.
ARG BASE
# hadolint ignore=DL3006
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
COPY kafka.sh /opt/kafka/kafka.sh
CMD ["/opt/kafka/kafka.sh"]
