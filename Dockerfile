# udpshard as an image: one static binary, no shell, an unprivileged user.
#
#   docker build --build-arg VERSION=1.2.3 --build-arg COMMIT=$(git rev-parse HEAD) -t udpshard .
#   docker run --network host udpshard serve --listen :5514
#
# The image runs with --cap-drop ALL, --read-only and --security-opt no-new-privileges. On the host's
# network, two things need --user 0 --cap-drop ALL and a capability: ports below 1024 --cap-add
# NET_BIND_SERVICE, receive buffers above net.core.rmem_max --cap-add NET_ADMIN. The user can write to a
# named volume at /run/udpshard, /var/log/udpshard or /var/lib/udpshard (the spool). Two containers with
# one port: deploy/containers.md. With a broker beside it: deploy/compose-nats.yaml.

ARG VERSION=devel
ARG COMMIT=unknown

FROM golang:1.26-bookworm AS build
WORKDIR /src

# --build-arg GOPROXY=… for a mirror of the modules. If they are unset, Go's defaults hold.
ARG GOPROXY
ARG GOSUMDB
ARG GONOSUMDB

# The modules are a layer of their own, so Docker keeps them until go.mod or go.sum changes.
COPY go.mod go.sum ./
RUN go mod download

# timetzdata: TZ names the zone of syslog timestamps without a zone, and an image from scratch has no
# /usr/share/zoneinfo.
COPY . .
ARG VERSION
ARG COMMIT
RUN CGO_ENABLED=0 go build -trimpath -tags timetzdata \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" \
      -o /image/udpshard ./cmd/udpshard \
 && mkdir -p /image/etc/ssl/certs /empty \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'udpshard:x:65532:65532:udpshard:/nonexistent:/nonexistent' >/image/etc/passwd \
 && echo 'udpshard:x:65532:' >/image/etc/group

FROM scratch
ARG VERSION
ARG COMMIT
LABEL org.opencontainers.image.title="udpshard" \
      org.opencontainers.image.description="A UDP receiver for Linux: one socket for each core, and every datagram accounted for" \
      org.opencontainers.image.source="https://github.com/udpshard/udpshard" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /image/ /

# A new volume gets the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /empty/ /run/udpshard/
COPY --from=build --chown=65532:65532 /empty/ /var/log/udpshard/
COPY --from=build --chown=65532:65532 /empty/ /var/lib/udpshard/

# A number, so that an orchestrator sees without /etc/passwd that the user is not root.
USER 65532:65532
# The spool is in the folder spool below.
ENV STATE_DIRECTORY=/var/lib/udpshard
EXPOSE 5514/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/udpshard", "health"]
ENTRYPOINT ["/udpshard"]
CMD ["serve"]
