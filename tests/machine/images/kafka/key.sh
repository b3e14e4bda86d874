#!/usr/bin/env bash
# key.sh - what else the image is made of: the jars of the catalogue.
exec "$(dirname "${BASH_SOURCE[0]}")/../../kafka.sh" list
