# Sourced by the scripts here that need a Docker engine and the image: it asks for the one, builds the
# other by the very Dockerfile, and leaves nothing behind.
#
# A script sources it at the repository's root, calls build, and names all containers, volumes and
# images $run or $run-…: they are gone when it ends, however it ends, and nothing else is touched. $tmp is
# a folder for files, $tmp/outside the program of .ci/outside. With IMAGE=NAME in the environment the
# image gets that name too and stays, and where it is there already it is not built again.
#
# Where a base image can't be pulled, an image of the same name stands in for it, made of the Go
# installation at hand and Debian's busybox, so that the very Dockerfile is built either way. A base
# image that was pulled stays, with the builder's cache, as after any docker build.

self=${0##*/}
run=udpshard-ci-$$
label=udpshard.stand-in
stand_ins=()
tmp=

say() { echo "$self: $*"; }
skip() { echo "skip: $self: $*"; exit 0; }
die() {
  echo "$self: error: $*" >&2
  exit 1
}

# own KIND-OF-COMMAND… lists what this run has made, such as `own container ls -a`.
own() { docker "$@" -q --filter "name=$run" 2>/dev/null; }

cleanup() {
  local rc=$? c
  trap - EXIT
  set +e
  if ((rc != 0)); then
    for c in $(own container ls -a); do
      echo "--- docker logs $(docker inspect -f '{{.Name}}' "$c") (the last 20 lines)" >&2
      docker logs --tail 20 "$c" >&2
    done
  fi
  # Containers before the image they use, the stand-in after the stages built on it.
  own container ls -a | xargs -r docker rm -f >/dev/null 2>&1
  own volume ls | xargs -r docker volume rm >/dev/null 2>&1
  docker image ls --format '{{.Repository}}' | grep -E "^$run(-|\$)" | xargs -r docker image rm -f >/dev/null 2>&1
  if ((${#stand_ins[@]})); then
    docker image rm "${stand_ins[@]}" >/dev/null 2>&1
    # Stages inherit the stand-in's label; with its name gone they are what is left of this run.
    docker image prune -f --filter "label=$label=$run" >/dev/null 2>&1
  fi
  if [[ -n $tmp ]]; then
    chmod -R u+w "$tmp"
    rm -rf "$tmp"
  fi
  exit "$rc"
}

# until_is WANT COMMAND… polls until COMMAND prints WANT, for a minute at most.
until_is() {
  local want=$1 got='' end=$((SECONDS + 60))
  shift
  while ((SECONDS < end)); do
    got=$("$@" 2>&1) || true
    [[ $got == "$want" ]] && return
    sleep 0.2
  done
  die "'$*' says '$got' after a minute, not '$want'"
}

# static_busybox FILE puts a static busybox there: this system's, else the one in Debian's package,
# which is unpacked and not installed.
static_busybox() {
  local b pool=$tmp/busybox
  local apt=(timeout 300 apt-get -q -o APT::Sandbox::User=root -o Acquire::http::Timeout=30)
  b=$(command -v busybox || true)
  if [[ -n $b ]] && ! ldd "$b" >/dev/null 2>&1; then
    cp -L "$b" "$1"
    return
  fi
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    skip "$base can't be pulled, and the stand-in needs a static busybox: install busybox-static"
  mkdir "$pool"
  if ! (cd "$pool" && "${apt[@]}" download busybox-static) >"$tmp/apt.log" 2>&1; then
    [[ $(id -u) == 0 ]] ||
      skip "$base can't be pulled, and the stand-in needs a static busybox: install busybox-static, or run this as root"
    { "${apt[@]}" update && (cd "$pool" && "${apt[@]}" download busybox-static); } >>"$tmp/apt.log" 2>&1 || {
      tail -n 5 "$tmp/apt.log" >&2
      skip "$base can't be pulled, and the package busybox-static can't be downloaded for the stand-in"
    }
  fi
  dpkg-deb -x "$pool"/*.deb "$pool/root"
  cp "$(find "$pool/root" -path '*/bin/busybox')" "$1"
}

# stand_in NAME makes an image of that name: busybox, the Go installation at hand, and the
# certificates this system trusts. It is laid out like the golang image.
stand_in() {
  local base=$1 root=$tmp/stand-in want have goroot f certs='' libs
  [[ $base =~ (^|/)golang:([0-9]+\.[0-9]+) ]] || die "$base can't be pulled, and no stand-in for it is known"
  want=go${BASH_REMATCH[2]} have=$(go env GOVERSION)
  [[ $have == "$want" || $have == "$want".* ]] ||
    skip "$base can't be pulled, and the Go at hand is $have: install $want"
  goroot=$(go env GOROOT)

  mkdir -p "$root"/{bin,etc/ssl/certs,root,go,usr/local/go}
  mkdir -m 1777 "$root/tmp"
  static_busybox "$root/bin/busybox"
  for f in $("$root/bin/busybox" --list); do
    [[ $f == busybox ]] || ln "$root/bin/busybox" "$root/bin/$f"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  # The bundle Go would read here (crypto/x509, root_linux.go), where the golang image has it.
  for f in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
    /etc/ssl/ca-bundle.pem /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
    [[ -n $f && -r $f ]] && certs=$f && break
  done
  [[ -n $certs ]] || skip "$base can't be pulled, and the stand-in needs certificates: install ca-certificates"
  cp -L "$certs" "$root/etc/ssl/certs/ca-certificates.crt"
  # Symbolic links are followed: distributions spread a GOROOT over several folders.
  (cd "$goroot" && tar -ch --exclude=testdata --exclude='*_test.go' bin lib pkg src VERSION go.env) |
    tar -x -C "$root/usr/local/go"
  # Go's own binaries are static. Where a distribution's are not, their libraries come along.
  libs=$(ldd "$goroot/bin/go" "$(go env GOTOOLDIR)"/* 2>/dev/null | grep -o '/[^ :]*\.so[^ :]*' | sort -u || true)
  for f in $libs; do
    mkdir -p "$root${f%/*}"
    cp -L "$f" "$root$f"
  done

  stand_ins+=("$base")
  tar -c --owner=0 --group=0 --numeric-owner -C "$root" . | docker import \
    --change "LABEL $label=$run" \
    --change 'ENV PATH=/go/bin:/usr/local/go/bin:/bin' \
    --change 'ENV GOPATH=/go' \
    --change 'ENV GOTOOLCHAIN=local' \
    --change 'WORKDIR /go' - "$base" >/dev/null
  chmod -R u+w "$root"
  rm -rf "$root"
  say "$base can't be pulled: $have and busybox stand in for it"
}

command -v docker >/dev/null || skip "no docker command: install Docker Engine"
timeout 20 docker version >/dev/null 2>&1 ||
  skip "no Docker engine answers: install Docker Engine, start it, and run this as root or in the group docker"
[[ $(docker info -f '{{.OSType}}') == linux ]] || skip "the Docker engine runs no Linux containers"
command -v go >/dev/null || skip "no go command: install Go"

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
tmp=$(mktemp -d)
# Two runs at once would pull the stand-in from under each other. The lock is on the docker command:
# the same file for every checkout, and nothing to clean up.
exec 9<"$(command -v docker)"
flock -w 1200 9 || die "another run of these scripts has not ended for 20 minutes"

# pull_bases pulls the base images, or makes what stands in for them.
pull_bases() {
  local base bases
  # Images of other stages are not base images.
  mapfile -t bases < <(awk 'toupper($1) == "FROM" {
    i = 2; while ($i ~ /^--/) i++
    if ($i != "scratch" && !($i in stage)) print $i
    if (toupper($(i+1)) == "AS") stage[$(i+2)] }' Dockerfile | sort -u)
  for base in "${bases[@]}"; do
    if docker image inspect "$base" >/dev/null 2>&1; then
      [[ $(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$base" || true) == '' ]] && continue
      docker image rm "$base" >/dev/null # left by a run that was killed
    fi
    timeout 600 docker pull -q "$base" >"$tmp/pull.log" 2>&1 || stand_in "$base"
  done
  # Only the engine's own builder is sure to see a stand-in: others keep to their own store.
  if ((${#stand_ins[@]})); then export DOCKER_BUILDKIT=0; fi
}

# build makes the image $run, and sets version and commit to what it was told that they are.
build() {
  local began=$SECONDS
  version=$(git describe --tags --always --dirty 2>/dev/null || echo devel)
  commit=$(git rev-parse --verify HEAD 2>/dev/null || echo unknown)
  if [[ -n ${IMAGE:-} ]] && docker image inspect "$IMAGE" >/dev/null 2>&1; then
    docker tag "$IMAGE" "$run"
    say "the image is the one that was built as $IMAGE"
    return
  fi
  pull_bases
  # A name alone passes a variable on if it is set: the predefined proxy arguments.
  docker build --force-rm --network host -t "$run" \
    --build-arg VERSION="$version" --build-arg COMMIT="$commit" \
    --build-arg GOPROXY="$(go env GOPROXY)" --build-arg GOSUMDB="$(go env GOSUMDB)" \
    --build-arg GONOSUMDB="$(go env GONOSUMDB)" \
    --build-arg HTTP_PROXY --build-arg HTTPS_PROXY --build-arg NO_PROXY \
    --build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
    . >"$tmp/build.log" 2>&1 || {
    tail -n 40 "$tmp/build.log" >&2
    die "docker build failed"
  }
  say "built in $((SECONDS - began)) s, $(($(docker image inspect -f '{{.Size}}' "$run") / 1024)) KiB"
  [[ -z ${IMAGE:-} ]] || docker tag "$run" "$IMAGE"
}

(GOWORK=off GOFLAGS='' go build -o "$tmp/outside" ./.ci/outside)
