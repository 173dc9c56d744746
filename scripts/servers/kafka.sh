#!/usr/bin/env bash
# One Kafka broker (KRaft, its own controller) from the jars of Maven Central. All its state is in DIR.
#   kafka.sh install             the jars and a class-data archive into the cache (once; needs Java 17 and Maven)
#   kafka.sh start DIR [PORT]    returns when the broker serves; PORT+1 is the controller's
#   kafka.sh stop DIR
# Environment: KAFKA_EXTRA (more lines of server.properties; the last one of a name counts), KAFKA_FORMAT (more arguments of
# kafka-storage format, such as --add-scram), KAFKA_JVM_EXTRA, KAFKA_HEAP, LEAKY_SERVER_OWNER
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=4.4.0
home=$cache/kafka-$version

install() {
  [ -f "$home/.ok" ] && [ -f "$home/classes.jsa" ] && [ -d "$home/formatted" ] || alone kafka install_alone
}

install_alone() {
  needs java "(17 or newer) for Kafka"
  if [ ! -f "$home/.ok" ]; then
    say "Fetching Kafka $version (once; 43 MB)"
    jars "$home" "org.apache.kafka:kafka_2.13:$version" org.slf4j:slf4j-simple:1.7.36
    touch "$home/.ok"
  fi
  [ -f "$home/classes.jsa" ] && [ -d "$home/formatted" ] || rehearse
}

# A throw-away run: its formatted folder saves later first starts one JVM, the archive of its classes a third of the CPU time.
rehearse() {
  say "Preparing Kafka for quick starts (once)"
  local dir port=$((20000 + RANDOM % 9000))
  dir=$(mktemp -d)
  configure "$dir" "$port"
  format "$dir" >&2
  rm -rf "$home/formatted" "$home/classes.jsa"
  cp -r "$dir/data" "$home/formatted"
  KAFKA_JVM_EXTRA="-XX:ArchiveClassesAtExit=$home/classes.jsa -Xlog:cds=error -Xlog:cds+dynamic=error" serve "$dir"
  halt "$dir" kafka TERM
  rm -rf "$dir"
}

format() { # format DIR ARGUMENTS...
  local dir=$1
  shift
  jvm "$dir" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$dir/server.properties" "$@"
}

# Sets `command`: small and quick to start, with the serial collector and the first compiler only.
java_command() { # java_command ARGUMENTS...
  command=(java -Xms64m "-Xmx${KAFKA_HEAP:-256m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto
    -Dorg.slf4j.simpleLogger.defaultLogLevel=info -Dorg.slf4j.simpleLogger.showDateTime=true
    -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn)
  [ ! -f "$home/classes.jsa" ] || command+=("-XX:SharedArchiveFile=$home/classes.jsa")
  # shellcheck disable=SC2206
  command+=(${KAFKA_JVM_EXTRA:-} -cp "$home/lib/*" "$@")
}

jvm() { # jvm DIR ARGUMENTS...
  local dir=$1 command
  shift
  java_command "$@"
  "${command[@]}" >"$dir/tool.log" 2>&1 || { cat "$dir/tool.log" >&2; return 1; }
}

configure() { # configure DIR PORT
  local dir=$1 port=$2
  # One node holds everything, so every internal topic has one replica and one partition. Short sessions make a restart quick.
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=8388608
log.index.size.max.bytes=1048576
controlled.shutdown.enable=false
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
${KAFKA_EXTRA:-}
PROPERTIES
}

serve() { # serve DIR
  local command
  : >"$1/kafka.log"
  java_command kafka.Kafka "$1/server.properties"
  launch "$1" kafka TERM "${command[@]}"
  await "$1" kafka 60 grep -q 'Kafka Server started' "$1/kafka.log"
}

start() { # start DIR [PORT]
  local dir=$1 port=${2:-9092}
  install
  configure "$dir" "$port"
  if [ ! -f "$dir/data/meta.properties" ]; then
    # shellcheck disable=SC2086
    if [ -n "${KAFKA_FORMAT:-}" ]; then format "$dir" $KAFKA_FORMAT; else cp -r "$home/formatted" "$dir/data"; fi
  fi
  serve "$dir"
  echo "Kafka $version on 127.0.0.1:$port, process $(cat "$dir/kafka.pid")"
}

stop() { halt "$1" kafka TERM; }

dispatch "$@"
