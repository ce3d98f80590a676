#!/usr/bin/env bash
# Fetches Apache Kafka for the tests, once: the jars of scripts/kafka/pom.xml into .cache/kafka/VERSION.
#
# usage: scripts/kafka.sh
#
# Maven checks what it downloads against the registry's sums; scripts/kafka/jars.sha256 pins the very
# bytes. UPDATE_SUMS=1 rewrites that file, after a new version in pom.xml. An archive of the classes
# that a broker loads is made with them, by a run of the broker: with it one starts in half the time.
set -euo pipefail
cd "$(dirname "$0")/.."
# Jars in the order of their bytes: Java takes an archive only with the class path it was made with.
export LC_ALL=C

sums=$PWD/scripts/kafka/jars.sha256
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' scripts/kafka/pom.xml)
home=.cache/kafka/$version

fail() {
    echo "kafka: $*" >&2
    exit 1
}

for command in java mvn openssl; do
    command -v "$command" >/dev/null || fail "$command is missing; as root, scripts/need.sh test installs it"
done

# Two at once would undo each other's work.
mkdir -p .cache/kafka
exec 9>.cache/kafka/lock
flock 9

fetch() {
    local new=$PWD/$home.new log=$PWD/.cache/kafka/maven.log
    rm -rf "$new" "$home"
    mkdir -p "$new"
    echo "kafka: fetching Apache Kafka $version by Maven into $home"
    # A repository of its own: nothing of the user's is changed, and nothing that lies there is taken.
    if ! mvn --batch-mode --strict-checksums --file scripts/kafka/pom.xml \
        "-Dmaven.repo.local=$new/repository" "-DoutputDirectory=$new/lib" \
        dependency:copy-dependencies >"$log" 2>&1; then
        grep -m 3 ERROR "$log" >&2 || tail -n 5 "$log" >&2
        fail "Maven failed; all it said is in $log"
    fi
    rm -rf "$new/repository"
    if [[ -n ${UPDATE_SUMS:-} ]]; then
        (cd "$new/lib" && sha256sum ./*.jar) >"$sums"
    fi
    (cd "$new/lib" && sha256sum --check --strict --quiet "$sums") \
        || fail "what was downloaded is not what scripts/kafka/jars.sha256 names"
    local jar
    for jar in "$new"/lib/*.jar; do
        grep -q " ./${jar##*/}\$" "$sums" || fail "${jar##*/} is not in scripts/kafka/jars.sha256"
    done
    mv "$new" "$home"
    echo "kafka: $(find "$home/lib" -name '*.jar' | wc -l) jars, $(du -sh "$home/lib" | cut -f 1)"
}

# Stands for this very Java: another one would not take its archive.
java_stamp() {
    java -version 2>&1 | sha256sum | cut -c 1-16
}

archive() {
    local file=$1 work
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    # An address that no other program uses, and every kind of listener: what a broker loads for them counts, too.
    local address=127.93.93.93 security=org.apache.kafka.common.security
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=broker \
        -keyout "$work/key" -out "$work/certificate" 2>"$work/log" || { cat "$work/log" >&2; fail "openssl failed"; }
    cat "$work/key" "$work/certificate" >"$work/both"
    cat >"$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$address:29093
listeners=PLAIN://$address:29092,CONTROLLER://$address:29093,TLS://$address:29094,SASL://$address:29095
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SASL:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
ssl.keystore.type=PEM
ssl.keystore.location=$work/both
ssl.truststore.type=PEM
ssl.truststore.location=$work/certificate
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config=$security.plain.PlainLoginModule required;
listener.name.sasl.scram-sha-256.sasl.jaas.config=$security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=$security.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config=$security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
offsets.topic.replication.factor=1
log.dirs=$work/data
PROPERTIES
    local jars
    jars=$(printf ':%s' "$PWD/$home"/lib/*.jar)
    local run=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "${jars:1}")
    "${run[@]}" kafka.tools.StorageTool format --cluster-id logferry-class-archive \
        --config "$work/server.properties" >"$work/log" 2>&1 \
        || { cat "$work/log" >&2; fail "the storage of a broker could not be formatted"; }
    "${run[@]}" -XX:ArchiveClassesAtExit="$work/classes.jsa" kafka.Kafka "$work/server.properties" \
        >>"$work/log" 2>&1 9>&- &
    local broker=$! tenths=0
    until grep -q 'Kafka Server started' "$work/log"; do
        if ! kill -0 "$broker" 2>/dev/null || ((++tenths > 600)); then
            kill -9 "$broker" 2>/dev/null || true
            tail -n 20 "$work/log" >&2
            fail "a broker did not start within a minute; above is the end of what it said"
        fi
        sleep 0.1
    done
    kill "$broker"
    wait "$broker" || true
    mv "$work/classes.jsa" "$file"
}

[[ -d $home/lib ]] || fetch
classes=$home/classes-$(java_stamp).jsa
[[ -e $classes ]] || archive "$classes"
ln -sfn "${classes##*/}" "$home/classes.jsa"
