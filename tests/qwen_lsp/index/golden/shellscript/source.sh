#!/usr/bin/env bash
# Builds and packs.
set -euo pipefail
source ./lib/common.sh
. "$(dirname "$0")/colors.sh"

readonly LIMIT=10
export OUT_DIR="${OUT_DIR:-build}"
name=größe
declare -a files=(one two)

log() {
  local text=$1
  echo "$text" >&2
}

function build_all {
  for file in "${files[@]}"; do
    log "building $file"
    gcc -o "$OUT_DIR/$file" "$file.c"
  done
}

main() (
  build_all "$@"
)

if [ "$#" -gt "$LIMIT" ]; then
  main "$@"
fi
