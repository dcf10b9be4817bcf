# udpshard as an image: one static binary, no shell, an unprivileged user.
#
#   docker build --build-arg VERSION=1.2.3 --build-arg COMMIT=$(git rev-parse HEAD) -t udpshard .
#   docker run --network host udpshard serve --listen :5514
#
# It needs neither a capability nor a writable file system: --cap-drop ALL, --read-only and
# --security-opt no-new-privileges all fit. Two things on the host's network want root, by
# --user 0 --cap-drop ALL and: ports below 1024 --cap-add NET_BIND_SERVICE, receive buffers above
# net.core.rmem_max --cap-add NET_ADMIN. A named volume at /run/udpshard or /var/log/udpshard is the
# user's to write to. Two containers that replace each other: deploy/containers.md.

ARG VERSION=devel
ARG COMMIT=unknown

FROM golang:1.26-bookworm AS build
WORKDIR /src

# --build-arg GOPROXY=… where the modules come from a mirror. Unset, they leave Go's defaults alone.
ARG GOPROXY
ARG GOSUMDB
ARG GONOSUMDB

# The modules are a layer of their own, kept until go.mod or go.sum changes.
COPY go.mod go.sum ./
RUN go mod download

# timetzdata: a syslog timestamp without a zone is read in the local one, and an image made from
# scratch has no /usr/share/zoneinfo for TZ to name it in.
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
      org.opencontainers.image.description="A UDP front door for Linux: one socket per core, and every datagram accounted for" \
      org.opencontainers.image.source="https://github.com/udpshard/udpshard" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /image/ /

# A fresh volume takes its owner from the folder that it covers.
COPY --from=build --chown=65532:65532 /empty/ /run/udpshard/
COPY --from=build --chown=65532:65532 /empty/ /var/log/udpshard/

# By number, so that an orchestrator can see without /etc/passwd that it is not root.
USER 65532:65532
EXPOSE 5514/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/udpshard", "health"]
ENTRYPOINT ["/udpshard"]
CMD ["serve"]
