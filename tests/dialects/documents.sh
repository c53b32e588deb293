#!/bin/sh
# The requests of the five documents, sent by curl to a running gateway: prints each request with its status and body, and
# compares the status with what the document says, or with what was decided where it says nothing.
set -eu

usage() {
    cat <<'END'
usage: documents.sh [BASE_URL [TOKEN [FORBIDDEN_TOKEN]]]

  BASE_URL         where the gateway is, with or without /scim/v2; default http://127.0.0.1:8080
  TOKEN            of a tenant that may use every dialect; default: what stands in ./var/token
  FORBIDDEN_TOKEN  of a tenant whose dialects = ["scim2"]; without one, the answers 403 for it are left out

All three may be environment variables of these names instead: arguments are seen by others in the list of processes.
Exits 0 when every status is as expected, 1 on a difference, 2 on wrong usage. What it makes it removes, whatever happens;
of an earlier run that was killed, the users named `<string>` and `string`, as the documents call them.
Needs curl. Tokens are not printed.
END
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
[ $# -le 3 ] || { usage >&2; exit 2; }
BASE_URL=${1:-${BASE_URL:-http://127.0.0.1:8080}}
BASE_URL=${BASE_URL%/}
BASE_URL=${BASE_URL%/scim/v2}
TOKEN=${2:-${TOKEN:-}}
FORBIDDEN_TOKEN=${3:-${FORBIDDEN_TOKEN:-}}
if [ -z "$TOKEN" ] && [ -r ./var/token ]; then
    TOKEN=$(cat ./var/token)
fi
[ -n "$TOKEN" ] || { usage >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
made=""   # ids of the users to remove
sent=0
differing=0
SCIM=/scim/v2/Users
CORE=urn:ietf:params:scim:schemas:core:2.0:User
WORKSPACE=urn:scim:schemas:extension:workspace:1.0
NOBODY=d24afa39-05a1-433f-8aa9-ad41c9a3d394   # the id in Workspace ONE's document

call() { # call AUTHORIZATION METHOD PATH [CURL'S ARGUMENTS]: sets $status; the answer is in $work/body and $work/headers
    authorization=$1 method=$2 path=$3
    shift 3
    : >"$work/body"
    : >"$work/headers"
    if [ -n "$authorization" ]; then
        printf 'header = "Authorization: %s"\n' "$authorization"
    fi | curl --config - --silent --show-error --path-as-is --max-time 60 --request "$method" \
        --output "$work/body" --dump-header "$work/headers" --write-out '%{http_code}' "$@" "$BASE_URL$path" \
        >"$work/status" || echo 000 >"$work/status"
    status=$(cat "$work/status")
}

try() { # try EXPECTED TITLE AUTHORIZATION METHOD PATH [CURL'S ARGUMENTS]: one numbered step, printed and compared
    expected=$1 title=$2
    shift 2
    sent=$((sent + 1))
    printf '\n--- %s. %s\n> %s %s\n' "$sent" "$title" "$2" "$BASE_URL$3"
    [ -z "$1" ] || printf '> Authorization: %s ...\n' "${1%% *}"
    printed "$@"
    call "$@"
    if [ "$status" = "$expected" ]; then
        printf '< %s, as expected\n' "$status"
    else
        printf '< %s, BUT EXPECTED %s\n' "$status" "$expected"
        differing=$((differing + 1))
    fi
    tr -d '\r' <"$work/headers" | grep -iE '^(content-type|content-location|location|etag|allow|scim-txn):' | sed 's/^/< /' || :
    if [ -s "$work/body" ]; then
        cat "$work/body"
        echo
    fi
}

printed() { # what curl's arguments say of headers and body
    shift 3
    while [ $# -gt 1 ]; do
        case $1 in
            --header) printf '> %s\n' "$2" ;;
            --data-binary)
                case $2 in
                    @*)
                        sed 's/^/> /' "${2#@}"
                        [ -z "$(tail -c 1 "${2#@}")" ] || echo ;;
                    *) printf '> %s\n' "$2" ;;
                esac ;;
        esac
        shift
    done
}

id_of() { # the id in the last body
    sed -n 's/.*"id":"\([^"]*\)".*/\1/p' "$work/body" | head -1
}

new_user() { # new_user NAME [MORE MEMBERS]: over /scim/v2, sets $id
    call "Bearer $TOKEN" POST "$SCIM" --header 'Content-Type: application/scim+json' \
        --data-binary "{\"schemas\":[\"$CORE\"],\"userName\":\"$1\"${2:+,$2}}"
    if [ "$status" != 201 ]; then
        printf 'documents.sh: no user could be made over /scim/v2: %s %s\n' "$status" "$(cat "$work/body")" >&2
        exit 1
    fi
    id=$(id_of)
    made="$made $id"
}

remove() { # remove ID: of a user that this script made
    call "Bearer $TOKEN" DELETE "$SCIM/$1"
    case $status in 204 | 404) ;; *)
        printf 'documents.sh: user %s could not be removed: %s\n' "$1" "$status" >&2
        differing=$((differing + 1)) ;;
    esac
}

left_over() { # left_over NAME: removes the user of an earlier run: its userName and externalId are the document's
    call "Bearer $TOKEN" GET "$SCIM" --get --data-urlencode "filter=userName eq \"$1\""
    if [ "$status" = 200 ] && grep -qF "\"externalId\":\"$1\"" "$work/body"; then
        remove "$(id_of)"
    fi
}

finish() {
    code=$?
    trap - EXIT
    for each in $made; do remove "$each"; done
    rm -rf "$work"
    [ "$differing" = 0 ] || code=1
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

left_over '<string>'
left_over 'string'
JSON='Content-Type: application/json'

matillion() {
    users=/dpc/v1/directory-integration/scim/v2/Users
    printf '\n=== matillion-post-user.txt\n'
    try 201 'Create SCIM User' "Bearer $TOKEN" POST "$users" --header "$JSON" \
        --data-binary "@$here/matillion/post-user-request.json"
    id=$(id_of)
    made="$made $id"
    try 200 'the user, as this service shows it' "Bearer $TOKEN" GET "$users/$id"
    try 409 'the same again: the userName is in use' "Bearer $TOKEN" POST "$users" --header "$JSON" \
        --data-binary "@$here/matillion/post-user-request.json"
    try 400 'without meta' "Bearer $TOKEN" POST "$users" --header "$JSON" --data-binary '{"userName":"x"}'
    try 401 'without a token' "" POST "$users" --header "$JSON" --data-binary '{"meta":{},"userName":"x"}'
    if [ -n "$FORBIDDEN_TOKEN" ]; then
        try 403 'of a tenant that does not use it' "Bearer $FORBIDDEN_TOKEN" POST "$users" --header "$JSON" \
            --data-binary '{"meta":{},"userName":"x"}'
    fi
    printf '\n=== matillion-put-user.txt\n'
    try 200 'Update SCIM User' "Bearer $TOKEN" PUT "$users/$id" --header "$JSON" \
        --data-binary "@$here/matillion/put-user-request.json"
    try 200 'the user, as this service shows it' "Bearer $TOKEN" GET "$users/$id"
    try 404 'a user who is not there' "Bearer $TOKEN" PUT "$users/$NOBODY" --header "$JSON" \
        --data-binary "@$here/matillion/put-user-request.json"
}

maia() {
    users=/v1/directory-integration/scim/v2/Users
    printf '\n=== maia-put-user.txt\n'
    try 200 'User updated successfully' "Bearer $TOKEN" PUT "$users/$id" --header "$JSON" \
        --data-binary "@$here/matillion/post-user-request.json"
    try 200 'the user, as this service shows it' "Bearer $TOKEN" GET "$users/$id"
    try 400 'Invalid request: an empty id, URNs twice, a type in lower case' "Bearer $TOKEN" PUT "$users/$id" \
        --header "$JSON" \
        --data-binary '{"meta":{},"userName":"x","id":"","schemas":["a","a"],"groups":[{"type":"direct"}]}'
    if [ -n "$FORBIDDEN_TOKEN" ]; then
        try 403 'Unauthorized' "Bearer $FORBIDDEN_TOKEN" PUT "$users/$id" --header "$JSON" \
            --data-binary '{"meta":{},"userName":"x"}'
    fi
    try 404 'User not found' "Bearer $TOKEN" PUT "$users/$NOBODY" --header "$JSON" \
        --data-binary '{"meta":{},"userName":"x"}'
}

workspace_one() {
    users=//SAAS/jersey/manager/api/scim/Users
    printf '\n=== workspace-one-patch-user.txt\n'
    new_user "documents-workspace-one-$$" '"emails":[{"value":"old@example.com","type":"work"}]'
    try 204 'Patch User, on the path with two slashes' "HZN $TOKEN" PATCH "$users/$id" --header "$JSON" \
        --data-binary "@$here/workspace_one/patch-user-request.json"
    try 200 'the user, as this service shows it' "HZN $TOKEN" GET "$users/$id"
    users=${users#/}
    try 204 'the same as a POST' "Bearer $TOKEN" POST "$users/$id" --header "$JSON" \
        --header 'X-HTTP-Method-Override: PATCH' --data-binary '{"title":"Engineer"}'
    try 200 'an e-mail and an attribute taken away, the result asked for' "HZN $TOKEN" PATCH \
        "$users/$id?attributes=userName,emails,nickName,title" --header "$JSON" \
        --data-binary '{"meta":{"attributes":["nickName"]},"emails":[{"value":"old@example.com","operation":"delete"}]}'
    try 400 'The supplied JSON is incorrect' "HZN $TOKEN" PATCH "$users/$id" --header "$JSON" --data-binary '{"title":'
    call "Bearer $TOKEN" PATCH "$SCIM/$id" --header 'Content-Type: application/scim+json' --data-binary \
        "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:PatchOp\"],\"Operations\":[{\"op\":\"add\",\"path\":\"$WORKSPACE:internalUserType\",\"value\":\"PROVISIONED\"}]}"
    try 403 'The user is not a local user and can not be updated' "HZN $TOKEN" PATCH "$users/$id" --header "$JSON" \
        --data-binary '{"title":"Lead"}'
    try 404 'The specified user does not exist' "HZN $TOKEN" PATCH "$users/$NOBODY" --header "$JSON" \
        --data-binary '{"title":"Lead"}'
    try 401 'without a token' "" PATCH "$users/$id" --header "$JSON" --data-binary '{"title":"Lead"}'
    if [ -n "$FORBIDDEN_TOKEN" ]; then
        try 403 'of a tenant that does not use it' "HZN $FORBIDDEN_TOKEN" PATCH "$users/$id" --header "$JSON" \
            --data-binary '{"title":"Lead"}'
    fi
}

oracle_cpq() {
    users=/rest/v19/scim/Users
    printf '\n=== oracle-cpq-put-user.txt\n'
    new_user "documents-oracle-cpq-$$"
    try 200 'Update a User, by every field of user-request' "Bearer $TOKEN" PUT "$users/$id" --header "$JSON" \
        --data-binary "@$here/oracle_cpq/made/user-request.json"
    try 200 'the user, as this service shows it' "Bearer $TOKEN" GET "$users/$id"
    cp "$work/body" "$work/user-response"
    try 200 'a user-response sent back' "Bearer $TOKEN" PUT "$users/$id" --header "$JSON" \
        --data-binary "@$work/user-response"
    try 200 'what is not sent goes back to its default' "Bearer $TOKEN" PUT "$users/$id" --header "$JSON" \
        --data-binary '{"status":{"value":"Inactive"}}'
    try 400 'a type of entity that the document does not have' "Bearer $TOKEN" PUT "$users/$id" --header "$JSON" \
        --data-binary '{"accessPermissions":{"items":[{"type":"planet"}]}}'
    try 401 'without a token' "" PUT "$users/$id" --header "$JSON" --data-binary '{}'
    if [ -n "$FORBIDDEN_TOKEN" ]; then
        try 403 'of a tenant that does not use it' "Bearer $FORBIDDEN_TOKEN" PUT "$users/$id" --header "$JSON" \
            --data-binary '{}'
    fi
    try 404 'a user who is not there' "Bearer $TOKEN" PUT "$users/$NOBODY" --header "$JSON" --data-binary '{}'
}

matillion
maia
workspace_one
oracle_cpq

printf '\n=== %s requests, %s not as expected\n' "$sent" "$differing"
