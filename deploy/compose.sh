#!/bin/sh
# Kafka, Redis, gateways and workers of deploy/compose.yaml, by whichever compose is here:
#   up             build, start, wait until all are ready, say how to go on
#   down           stop and remove the containers; what they stored stays, unless -v follows
#   token          print the token of the tenant `default`
#   ANYTHING ELSE  goes to compose: sh deploy/compose.sh logs -f worker-1
# Environment: see compose.yaml; COMPOSE_PROJECT_NAME (default scimgw).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-scimgw}"
READY_WITHIN_S=180

if ! command -v docker >/dev/null; then
    echo "make: there is no docker here; install Docker (Debian: apt-get install docker.io docker-compose)" >&2
    exit 1
fi
if docker compose version >/dev/null 2>&1; then
    compose() { docker compose -f "$here/compose.yaml" "$@"; }
elif command -v docker-compose >/dev/null; then
    compose() { docker-compose -f "$here/compose.yaml" "$@"; }
else
    echo "make: docker is here, compose is not: neither 'docker compose' nor 'docker-compose' works;" \
        "install docker-compose-plugin, or docker-compose 1.29 (Debian: apt-get install docker-compose)" >&2
    exit 1
fi
if ! why=$(docker version --format '{{.Server.Version}}' 2>&1); then
    echo "make: the Docker engine does not answer: $(echo "$why" | tail -1)" >&2
    exit 1
fi
# BuildKit is a plugin nowadays; where that is missing, the classic builder does as well.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0

health() { # health SERVICE: starting, healthy, unhealthy, or what the container does without a health check
    container=$(compose ps -q "$1" 2>/dev/null | head -1)
    [ -n "$container" ] || { echo absent; return; }
    docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$container"
}

up() {
    compose build topics
    if ! compose up -d --remove-orphans; then
        compose ps -a >&2 || compose ps >&2
        compose logs --no-color --tail 20 topics tenants >&2
        echo "make: not started; the lines above tell why" >&2
        exit 1
    fi
    began=$(date +%s)
    for service in worker-1 worker-2 gateway-1 gateway-2; do
        until state=$(health "$service") && [ "$state" = healthy ]; do
            if [ $(($(date +%s) - began)) -gt $READY_WITHIN_S ]; then
                compose logs --no-color --tail 20 "$service" >&2
                echo "make: $service is $state after $READY_WITHIN_S s; its last lines stand above" >&2
                exit 1
            fi
            sleep 0.5
        done
    done
    one=http://127.0.0.1:${GATEWAY_1_PORT:-8081} two=http://127.0.0.1:${GATEWAY_2_PORT:-8082}
    cat <<END

Two gateways serve SCIM at $one/scim/v2 and $two/scim/v2.
The token is in a volume of its own: sh deploy/compose.sh token
A user through the first gateway, and the list through the second:

  curl -s $one/scim/v2/Users -H "Authorization: Bearer \$(sh deploy/compose.sh token)" \\
    -H 'Content-Type: application/scim+json' -d "{\\"schemas\\":[\\"urn:ietf:params:scim:schemas:core:2.0:User\\"],\\"userName\\":\\"user-\$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')\\"}"; echo
  curl -s $two/scim/v2/Users -H "Authorization: Bearer \$(sh deploy/compose.sh token)"; echo

Events, by a plain Kafka client (needs aiokafka): python3 deploy/events/kafka_subscriber.py 127.0.0.1:${KAFKA_PORT:-29092}
Logs: sh deploy/compose.sh logs -f    Stop: make down    Stop and forget everything: make down ARGS=-v
END
}

token() { # compose tells of the container it makes for this: that is of interest only when it fails
    said=$(mktemp)
    if compose run --rm -T --no-deps tenants 'cat /var/lib/scimgw/token' 2>"$said"; then
        rm "$said"
    else
        cat "$said" >&2
        rm "$said"
        return 1
    fi
}

case "$*" in
    up) up ;;
    token) token ;;
    "") echo "usage: sh deploy/compose.sh up|down [-v]|token|COMPOSE-COMMAND..." >&2; exit 2 ;;
    *) compose "$@" ;;
esac
