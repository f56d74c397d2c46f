# Waits until the server's own user can query its database over verified TLS.
end=$(($(date +%s) + WAIT_SECONDS))
said=
while :; do
  # Whether PostgreSQL answers at all is asked without TLS, so that a
  # certificate that does not verify is told as what it is.
  if ! why=$(PGSSLMODE=disable pg_isready -t "$PGCONNECT_TIMEOUT" 2>&1); then
    :
  elif why=$(psql -XAtq -c 'SELECT 1' 2>&1); then
    echo "PostgreSQL answers."
    exit 0
  fi
  if [ "$why" != "$said" ]; then
    echo "Waiting for PostgreSQL: $why"
    said=$why
  fi
  if [ "$(date +%s)" -ge "$end" ]; then
    echo "Gave up after $WAIT_SECONDS seconds: $why" >&2
    exit 1
  fi
  sleep 2
done
