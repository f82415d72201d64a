#!/bin/bash
# One role and one database for each service that has one; PostgreSQL's image runs this once, on an empty volume.
set -euo pipefail
for name in auth catalog; do
    password=$(cat "${SECRETS:-/run/secrets/trial}/$name")
    psql --set ON_ERROR_STOP=1 --username postgres --set name="$name" --set password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
