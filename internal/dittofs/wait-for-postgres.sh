# Waits until the server's own user can query its database over verified TLS.
# A process with the id 1 does not end at a signal that it does not handle.
trap 'exit 143' TERM
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
  # The shell handles a signal between commands, and while it waits.
  sleep 2 &
  wait $!
done
