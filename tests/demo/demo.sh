#!/usr/bin/env bash
# The whole of akvfs in a minute, against the emulator: mount a class, list, read, rotate, read
# again, unmount. Shows what it types; ends with status 1 on any surprise. As root or as anybody.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${AKVFS_BUILD:-build}
[ "${build#/}" != "$build" ] || build=$top/$build
class=$top/docs/examples/demo.yaml

here=$(mktemp -d "${TMPDIR:-/tmp}/akvfs-demo-XXXXXX")
point=secrets # below $here, where all of this happens
emulator=
watcher=
quit() {
        local status=$?
        trap - EXIT
        cd "$here"
        [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
        if mountpoint -q "$point"; then
                "$build/akvfs" unmount "$point" || true
        fi
        [ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
        if [ "$status" -ne 0 ]; then
                echo "demo: failed" >&2
                [ ! -s "$here/emulator.log" ] || sed 's/^/emulator: /' "$here/emulator.log" >&2
        fi
        if ! mountpoint -q "$point"; then
                cd / && rm -rf "$here"
        fi
        exit "$status"
}
trap quit EXIT
trap 'exit 130' INT TERM

die() {
        echo "demo: $*" >&2
        exit 1
}

say() {
        printf '\n# %s\n' "$*"
}

# Shows the command as one would type it, and runs it.
type_() {
        local shown="$*"
        shown=${shown//"$build/"/}
        shown=${shown//"$top/"/}
        printf '$ %s\n' "$shown"
        "$@"
}

wait_for() { # SECONDS WHAT COMMAND...
        local end=$((SECONDS + $1)) what=$2
        shift 2
        until "$@" >/dev/null 2>&1; do
                [ $SECONDS -lt $end ] || die "waited in vain until $what"
                read -rt 0.05 _ <> <(:) || true
        done
}

[ -c /dev/fuse ] || die "there is no /dev/fuse: load the kernel's module (modprobe fuse)"
cd "$here"
mkdir "$point"

say "A Key Vault of one's own, with a token endpoint and a throw-away certificate authority"
printf '$ akv-emulator --ca-out ca.pem &\n'
"$build/akv-emulator" --port 0 --imds-port 0 --admin-port 0 --ca-out ca.pem \
        --port-file ports.json >emulator.log 2>&1 &
emulator=$!
wait_for 30 "the emulator listens" test -s ports.json
port_url() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" ports.json; }
https=$(port_url https_url)
admin=$(port_url admin_url)/_emulator/vaults/demo

put() { # KIND/NAME JSON
        curl --fail --silent --show-error --noproxy '*' -X PUT "$admin/$1" -d "$2" \
                -H 'Content-Type: application/json' >/dev/null
}
put secrets/db-password '{"value": "correct horse"}'
put secrets/api-token '{"value": "tr0ub4dor"}'
put certificates/web '{"subject": "CN=web.example"}'

export AZURE_CLIENT_ID=22222222-2222-2222-2222-222222222222
export AZURE_CLIENT_SECRET=emulator-client-secret
export AZURE_AUTHORITY_HOST=$https
where=(--vault-url "$https/vaults/{vault}" --ca-file ca.pem)

say "Is the class as it should be?"
type_ "$build/akvfs" check "$class"

say "Mount it. This returns when everything can be read"
type_ "$build/akvfs" mount "$class" "$point" "${where[@]}"
type_ ls -lR "$point"

say "Files like any others"
type_ cat "$point/db-password"
echo
[ "$(cat "$point/db-password")" = "correct horse" ] || die "the file has other bytes than the vault"
[ "$(stat -c %a "$point/api/token")" = 400 ] || die "api/token has not the mode of its class"
head -n 1 "$point/tls/web.crt" | grep -q 'BEGIN CERTIFICATE' || die "tls/web.crt is no certificate"
if (: >"$point/db-password") 2>/dev/null; then
        die "the file could be written"
fi

if command -v inotifywait >/dev/null; then
        say "Somebody watches the folder"
        printf '$ inotifywait -m secrets &\n'
        inotifywait -q -m -e moved_to "$point" >events 2>watch.log &
        watcher=$!
        wait_for 30 "inotifywait watches" grep -q '^inotify' "/proc/$watcher/fdinfo/3"
fi

say "The password is rotated in the vault, and a reader has the old file open"
exec 8<"$point/db-password"
put secrets/db-password '{"value": "battery staple"}'
type_ "$build/akvfs" refresh "$point"
type_ cat "$point/db-password"
echo
[ "$(cat "$point/db-password")" = "battery staple" ] || die "the new value is not there"
[ "$(cat <&8)" = "correct horse" ] || die "the open descriptor lost its version"
exec 8<&-
if [ -n "$watcher" ]; then
        wait_for 30 "inotifywait saw the rotation" grep -q 'MOVED_TO db-password' events
        cat events
fi

say "What is mounted, and how fresh is it?"
type_ "$build/akvfs" status

say "Done"
type_ "$build/akvfs" unmount "$point"
! mountpoint -q "$point" || die "still mounted"
[ -z "$(ls -A "$point")" ] || die "something is left in the folder"
kill "$emulator"
wait "$emulator" || die "the emulator did not end well"
emulator=
