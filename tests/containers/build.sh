#!/bin/sh
# Builds the images of the container tests where no image registry can be reached: build.sh [base|redis|kafka|python]...
# Needs root, a running engine, mmdebstrap and mvn. DEBIAN_MIRROR names another mirror than Debian's own.
set -eu
cd "$(dirname "$0")"
export DOCKER_BUILDKIT=0  # the classic builder: the other one is a plugin that Debian does not have

base() {  # Debian 12 that trusts the same extra CAs as this machine, as Dockerfiles need behind its proxy: not to publish
    set -- --variant=minbase --include=ca-certificates --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Languages "none"' --aptopt='Dir::Cache::pkgcache ""' --aptopt='Dir::Cache::srcpkgcache ""'
    for unread in man doc locale info; do
        set -- "$@" "--dpkgopt=path-exclude=/usr/share/$unread/*"
    done
    for ca in /usr/local/share/ca-certificates/*.crt; do
        [ ! -e "$ca" ] || set -- "$@" "--customize-hook=upload $ca $ca"
    done
    # shellcheck disable=SC2016,SC2086  # $1 is the hook's own; no mirror is no word
    mmdebstrap --quiet "$@" --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1' \
        bookworm - ${DEBIAN_MIRROR:-} |
        docker import -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
            -c 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
            -c 'CMD ["bash"]' - local/debian:bookworm
}

redis() { docker build --quiet --force-rm --tag local/redis:7 redis; }

python() { docker build --quiet --force-rm --tag local/python:3.11-bookworm python; }

kafka() {
    context=$(mktemp -d)
    cp kafka/Dockerfile kafka/kafka "$context"
    chmod 755 "$context/kafka"
    mvn -q -B -f ../services/pom.xml dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$context/libs"
    docker build --quiet --force-rm --tag local/kafka:4.1.1 "$context"
    rm -r "$context"
}

[ $# -gt 0 ] || set -- base redis kafka python
for image; do
    "$image" >/dev/null
done
docker images 'local/*' --format '{{.Repository}}:{{.Tag}} {{.Size}}'
