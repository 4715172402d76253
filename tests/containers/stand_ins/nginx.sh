#!/bin/sh
# As much of the public image's entry script as docker-compose.yml relies on: templates, and the resolvers.
set -eu
NGINX_LOCAL_RESOLVERS=$(awk '$1 == "nameserver" { print ($2 ~ /:/) ? "[" $2 "]" : $2 }' /etc/resolv.conf | xargs)
export NGINX_LOCAL_RESOLVERS
names=$(env | sed -n 's/^\([A-Z_][A-Z0-9_]*\)=.*/${\1}/p' | xargs)
for template in /etc/nginx/templates/*.template; do
    [ ! -e "$template" ] || envsubst "$names" < "$template" > "/etc/nginx/conf.d/$(basename "$template" .template)"
done
exec "$@"
