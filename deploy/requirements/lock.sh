#!/bin/sh
# Pin every package with its hashes, for all platforms; no registry is named, so that each machine uses its own.
set -eu
uv=.venv/bin/uv
out=deploy/requirements
options="--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet"
$uv pip compile pyproject.toml --extra server --extra postgres --group build $options -o $out/server.txt
$uv pip compile pyproject.toml --extra server --extra postgres --extra demo --group build $options -c $out/server.txt -o $out/demo.txt
$uv pip compile pyproject.toml --extra server --extra postgres --extra demo --extra dashboards --extra frames --group dev $options \
	-c $out/demo.txt -o $out/dev.txt
$uv pip compile --group pyproject.toml:node $options -o $out/node.txt
$uv pip compile --group pyproject.toml:peers $options -o $out/peers.txt
