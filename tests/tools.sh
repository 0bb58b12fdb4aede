#!/bin/sh
# Install the programs that some tests drive, where this user may; name loudly what is missing otherwise.
missing=""
for pair in chromium:chromium prometheus:prometheus promtool:prometheus; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -z "$missing" ] && exit 0
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	echo "installing $missing"
	log=$(mktemp)
	if apt-get update -q >"$log" 2>&1 \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1; then
		rm -f "$log"
		exit 0
	fi
	cat "$log" >&2
fi
cat >&2 <<END
***************************************************************************
MISSING: $missing
The tests that drive them will fail. Install them, as root on Debian:
    apt-get install $missing
***************************************************************************
END
exit 0
