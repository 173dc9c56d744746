#!/usr/bin/env bash
# One Cassandra node from the jars of Maven Central, on Java 17. All its state is in DIR.
#   cassandra.sh install            the jars and a class-data archive into the cache (once; needs Java 17 and Maven)
#   cassandra.sh start DIR [PORT]   returns when CQL is answered; PORT+1 is the storage port
#   cassandra.sh stop DIR
# Environment: CASSANDRA_EXTRA (lines of cassandra.yaml at its top level, in place of the ones of the same name here),
# CASSANDRA_JVM_EXTRA, CASSANDRA_HEAP, LEAKY_SERVER_OWNER
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=5.0.9
home=$cache/cassandra-$version

install() {
  [ -f "$home/.ok" ] && [ -f "$home/classes.jsa" ] || alone cassandra install_alone
}

install_alone() {
  needs java "(17) for Cassandra"
  if [ ! -f "$home/.ok" ]; then
    say "Fetching Cassandra $version (once; 67 MB)"
    jars "$home" "org.apache.cassandra:cassandra-all:$version"
    touch "$home/.ok"
  fi
  [ -f "$home/classes.jsa" ] || rehearse
}

# A throw-away run that leaves an archive of the classes it loaded: later starts take a third less CPU time.
rehearse() {
  say "Preparing Cassandra for quick starts (once)"
  local dir
  dir=$(mktemp -d)
  CASSANDRA_JVM_EXTRA="-XX:ArchiveClassesAtExit=$home/classes.jsa -XX:+UnlockDiagnosticVMOptions -XX:+AllowArchivingWithJavaAgent" \
    serve "$dir" $((20000 + RANDOM % 9000))
  halt "$dir" cassandra TERM
  rm -rf "$dir"
}

# commitlog_sync batch: an acknowledged write is on disk. The default, periodic, loses the last ones when the node is killed. A write then
# keeps its thread until it is on disk, so there are many: 8 of them limit the node to 8 writes for each turn of the disk.
base_configuration() { # base_configuration DIR PORT
  cat <<YAML
cluster_name: leaky
num_tokens: 1
initial_token: 0
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider: [{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{seeds: "127.0.0.1:$(($2 + 1))"}]}]
listen_address: 127.0.0.1
storage_port: $(($2 + 1))
rpc_address: 127.0.0.1
native_transport_port: $2
start_native_transport: true
data_file_directories: [$1/data/data]
commitlog_directory: $1/data/commitlog
saved_caches_directory: $1/data/saved_caches
hints_directory: $1/data/hints
cdc_raw_directory: $1/data/cdc_raw
commitlog_sync: batch
commitlog_segment_size: 16MiB
commitlog_total_space: 128MiB
hinted_handoff_enabled: false
auto_snapshot: false
memtable_heap_space: 96MiB
memtable_offheap_space: 32MiB
memtable_allocation_type: heap_buffers
memtable_flush_writers: 1
concurrent_compactors: 1
concurrent_reads: 8
concurrent_writes: 128
concurrent_counter_writes: 4
concurrent_materialized_view_writes: 4
file_cache_size: 32MiB
networking_cache_size: 16MiB
key_cache_size: 4MiB
counter_cache_size: 0MiB
row_cache_size: 0MiB
prepared_statements_cache_size: 8MiB
column_index_cache_size: 2KiB
disk_optimization_strategy: ssd
materialized_views_enabled: false
user_defined_functions_enabled: false
request_timeout: 20000ms
read_request_timeout: 20000ms
range_request_timeout: 20000ms
write_request_timeout: 20000ms
truncate_request_timeout: 60000ms
YAML
}

# Cassandra takes no key twice, so the extra lines take the place of the ones of the same name.
configure() { # configure DIR PORT
  local replaced
  replaced=$(sed -nE 's/^([a-z_]+):.*/\1/p' <<<"${CASSANDRA_EXTRA:-}" | paste -sd '|')
  base_configuration "$1" "$2" | grep -vE "^(${replaced:-none}):" >"$1/cassandra.yaml"
  [ -z "${CASSANDRA_EXTRA:-}" ] || echo "$CASSANDRA_EXTRA" >>"$1/cassandra.yaml"
  cat >"$1/logback.xml" <<'XML'
<configuration><appender name="OUT" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d %-5level %logger{20} %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="OUT"/></root></configuration>
XML
}

# Sets `command`. The exports and opens are what Cassandra needs on Java 17; the rest makes one small node that waits for nobody.
java_command() { # java_command DIR
  local dir=$1 name
  command=(java -Xms128m "-Xmx${CASSANDRA_HEAP:-512m}" -Xss256k -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    -XX:+PerfDisableSharedMem -XX:MaxDirectMemorySize=128m -Djdk.attach.allowAttachSelf=true)
  for name in java.base/jdk.internal.misc java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry \
    java.rmi/sun.rmi.server java.sql/java.sql java.base/java.lang.ref jdk.unsupported/sun.misc jdk.attach/sun.tools.attach; do
    command+=(--add-exports "$name=ALL-UNNAMED")
  done
  for name in java.base/{java.lang.module,jdk.internal.loader,jdk.internal.ref,jdk.internal.reflect,jdk.internal.math} \
    java.base/{jdk.internal.module,jdk.internal.util.jar,sun.nio.ch,java.io,java.lang.reflect,java.lang,java.util,java.nio} \
    jdk.management/com.sun.management.internal; do
    command+=(--add-opens "$name=ALL-UNNAMED")
  done
  command+=("-javaagent:$(echo "$home"/lib/jamm-*.jar)"
    -Dio.netty.tryReflectionSetAccessible=true -Dsun.nio.PageAlignDirectMemory=true -Djava.net.preferIPv4Stack=true -Djna.nosys=true
    "-Djava.io.tmpdir=$dir/tmp" "-Djna.tmpdir=$dir/tmp"
    "-Dcassandra.config=file://$dir/cassandra.yaml" "-Dcassandra.storagedir=$dir/data"
    "-Dlogback.configurationFile=file://$dir/logback.xml" -Dcassandra-foreground=yes
    -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=0 -Dcassandra.load_ring_state=false
    -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra.consistent.rangemovement=false -Dcassandra.max_local_pause_in_ms=60000
    # Measured at start otherwise, for four seconds.
    -Dcassandra.memtable.row_overhead_size=180
    -Dcassandra.skip_paxos_state_rebuild=true -Dcassandra.shutdown_announce_in_ms=0)
  [ ! -f "$home/classes.jsa" ] ||
    command+=("-XX:SharedArchiveFile=$home/classes.jsa" -XX:+UnlockDiagnosticVMOptions -XX:+AllowArchivingWithJavaAgent)
  # shellcheck disable=SC2206
  command+=(${CASSANDRA_JVM_EXTRA:-} -cp "$home/lib/*" org.apache.cassandra.service.CassandraDaemon)
}

serve() { # serve DIR PORT
  local command
  mkdir -p "$1/data" "$1/tmp"
  configure "$1" "$2"
  : >"$1/cassandra.log"
  java_command "$1"
  launch "$1" cassandra TERM "${command[@]}"
  await "$1" cassandra 120 grep -q 'Starting listening for CQL clients' "$1/cassandra.log"
  await "$1" cassandra 20 listens "$2"
}

start() { # start DIR [PORT]
  local dir=$1 port=${2:-9042}
  install
  serve "$dir" "$port"
  echo "Cassandra $version on 127.0.0.1:$port, process $(cat "$dir/cassandra.pid")"
}

stop() { halt "$1" cassandra TERM; }

dispatch "$@"
