#!/usr/bin/env bash
# A walk through the HTTP interface with curl. The server is MEDICUS_URL, with MEDICUS_API_KEY where
# it asks for keys.
set -euo pipefail

url=${MEDICUS_URL:-http://127.0.0.1:8080}
auth=()
[ -n "${MEDICUS_API_KEY:-}" ] && auth=(-H "Authorization: Bearer $MEDICUS_API_KEY")

get() { # says what it asks, and asks it
    printf '\n# GET %s\n' "$*"
    curl -sS --fail-with-body "${auth[@]}" "${@:2}" "$url$1"
}
post() {
    printf '\n# POST %s %s\n' "$1" "$2"
    curl -sS --fail-with-body "${auth[@]}" -H 'Content-Type: application/json' --data "$2" "$url$1"
}

# Is it there, and ready?
get /readyz

# A question, as a list for people; the same as JSON with filters.
get '/v1/search?q=beta-blockers+after+myocardial+infarction&limit=3' -H 'Accept: text/plain'
get '/v1/search?q=asthma+reliever&year=2018..&evidence=guideline,systematic-review&limit=2&pretty'
post /v1/search '{"query": "asthma reliever", "limit": 2, "filters": {"retracted": "exclude"}}'

# The first result of a search, read: the passage that was found, then its document as Markdown.
id=$(curl -sS "${auth[@]}" "$url/v1/search?q=asthma+reliever&limit=1" |
    sed -n 's/.*"results":\[{"id":"\([^"]*\)".*/\1/p')
post /v1/fetch "{\"ids\": [\"$id\"], \"max_tokens\": 1500}"
get "/v1/documents/${id%~*}" -H 'Accept: text/markdown' | sed -n 1,12p

# What is like it, and what a term means here.
get "/v1/documents/${id%~*}/similar?limit=2&pretty"
get '/v1/terms?q=SGLT2&pretty'

# The same library as MCP tools: any JSON-RPC client will do.
post /mcp '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search",
    "arguments": {"query": "asthma reliever", "limit": 1}}}'

# A mistake gets a sentence that says what to do (status 400).
printf '\n# GET /v1/search?q=gout&limt=3\n'
curl -sS "${auth[@]}" "$url/v1/search?q=gout&limt=3"
