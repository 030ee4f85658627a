#!/usr/bin/env bash
# Property-based test of the REST API against its own OpenAPI document: no answer of the server is an error of the
# server, and none breaks what the document says. Runs against a service of its own on a free port, with no
# credential and then with an admin token.
#
#   meta-service/tests/schemathesis.sh [folder for the virtual environment]
#
# MAX_EXAMPLES (default 60) is the number of cases an operation; SEED (default 1) makes a run repeatable.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-$PWD/target}
venv=${1:-$target/schemathesis-venv}
if [ ! -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==4.*"
fi
cargo build --quiet --package meta-service --locked

work=$(mktemp --directory)
finish() {
    if [ -n "${service:-}" ]; then kill "$service" 2>/dev/null && wait "$service" || true; fi
    rm -rf "$work"
}
trap finish EXIT

export META_TOKEN_SECRET=schemathesis-schemathesis-schemathesis META_TURN_SECRET=schemathesis
META_TURN_URLS='turn:{host}:3478?transport=udp' META_CREATE_PER_MINUTE=1000000 META_TOKENS_PER_MINUTE=1000000 \
    META_SEARCHES_PER_MINUTE=1000000 META_LOG=info META_LOG_FORMAT=json \
    "$target/debug/meta-service" --dev --http 127.0.0.1:0 --admin 127.0.0.1:0 --database "$work/meta.db" \
    >"$work/log" 2>&1 &
service=$!
base=
for _ in $(seq 100); do
    # The system chose the port; the log names it.
    address=$(sed -n 's/.*"http\.address":"\([^"]*\)".*/\1/p' "$work/log" | head -n 1)
    if [ -n "$address" ]; then base=http://$address; break; fi
    kill -0 "$service" || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
[ -n "$base" ] || { cat "$work/log" >&2; exit 1; }

# An admin token: HS256 over the claims that crates/contract reads.
admin=$("$venv/bin/python" - <<'PYTHON'
import base64, hashlib, hmac, json, os, time
encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
now = int(time.time())
claims = dict(iss="madang", aud="madang", sub="schemathesis", iat=now, exp=now + 7200, kind="admin")
head = encode(b'{"alg":"HS256","typ":"JWT"}') + b"." + encode(json.dumps(claims).encode())
secret = os.environ["META_TOKEN_SECRET"].encode()
print((head + b"." + encode(hmac.new(secret, head, hashlib.sha256).digest())).decode())
PYTHON
)

run() {
    "$venv/bin/schemathesis" --config-file meta-service/tests/schemathesis.toml run "$base/openapi.json" \
        --checks all --max-examples "${MAX_EXAMPLES:-60}" --seed "${SEED:-1}" --no-color "$@"
}
run
run --header "Authorization: Bearer $admin"
if grep --quiet '"level":"ERROR".*"target":"meta_service' "$work/log"; then
    echo "the service logged errors:" >&2
    cat "$work/log" >&2
    exit 1
fi
