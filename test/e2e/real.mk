# The tests that run what is composed: the real server on a real PostgreSQL, with
# real backups. They need Debian's packages postgresql-15, postgresql-15-pgaudit,
# pgbackrest, iproute2, procps, curl and gettext-base, and root.

.PHONY: real

# make real RUN=TestBackups runs some of them.
real:
	@start=$$(date +%s); \
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	$(BUILD) -packages "$$dir/packages" control-plane real && \
	built=$$(date +%s) && echo "programs and packages were there after $$((built - start))s" && \
	export DITTOSERVER_E2E_PACKAGES="$$dir/packages" DITTOSERVER_E2E_MEMORY="$$dir/memory"; \
	status=0; \
	$(GO) test -count=1 -timeout 25m -parallel 3 -v $(if $(RUN),-run '$(RUN)') ./real || status=1; \
	echo "the tests with the real server took $$(( $$(date +%s) - built ))s, with what was built $$(( $$(date +%s) - start ))s, and at most $$(cat "$$dir/memory" 2>/dev/null || echo '?') MiB of memory"; \
	exit $$status
