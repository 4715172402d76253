#!/bin/sh
# As much of the public image's entry script as docker-compose.yml relies on: templates, and the resolvers.
set -eu
# Podman's list ends with the machine's own, which knows no containers, and nginx asks each in turn: the first one does.
NGINX_LOCAL_RESOLVERS=$(awk '$1 == "nameserver" { print ($2 ~ /:/) ? "[" $2 "]" : $2; exit }' /etc/resolv.conf)
export NGINX_LOCAL_RESOLVERS
names=$(env | sed -n 's/^\([A-Z_][A-Z0-9_]*\)=.*/${\1}/p' | xargs)
for template in /etc/nginx/templates/*.template; do
    [ ! -e "$template" ] || envsubst "$names" < "$template" > "/etc/nginx/conf.d/$(basename "$template" .template)"
done
exec "$@"
