#!/bin/bash
# Starts a broker with the settings that apache/kafka would take from the environment: KAFKA_LOG_DIRS is log.dirs.
set -euo pipefail

properties=/tmp/server.properties
while IFS='=' read -r name value; do
    name=${name#KAFKA_}
    name=${name,,}
    echo "${name//_/.}=${value}"
done < <(env | grep '^KAFKA_') > "$properties"

java=(java -Xmx256m -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*')
"${java[@]}" kafka.tools.StorageTool format --ignore-formatted -t MkU3OEVBNTcwNTJENDM2Qg -c "$properties"
exec "${java[@]}" kafka.Kafka "$properties"
