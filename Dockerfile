# The function's runtime image: one static binary, which serves.
#
#   docker build . --tag function-dittoserver
#   crossplane xpkg build --package-root=package --embed-runtime-image=function-dittoserver

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0

COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

COPY *.go ./
COPY api api
COPY input input
COPY internal internal
ARG TARGETOS
ARG TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /function-dittoserver .

# Nothing else is needed: the function connects to nobody and writes no files.
FROM scratch
COPY --from=build /function-dittoserver /function-dittoserver
# gRPC, metrics, health.
EXPOSE 9443 8080 8081
USER 65532:65532
ENTRYPOINT ["/function-dittoserver"]
