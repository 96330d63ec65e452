# syntax=docker/dockerfile:1

# The compiler and the C library that the project is tested with. Everything that goes in is pinned (Cargo.lock, the path of
# the build, its time), so that the same commit gives the same binary.
FROM rust:1.95-slim-bookworm AS build
ARG SOURCE_DATE_EPOCH=0
ENV CARGO_INCREMENTAL=0
WORKDIR /build
COPY . .
# The caches are not part of the image, so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && \
    install --mode=0755 target/release/orchestrator /orchestrator && \
    touch --date="@${SOURCE_DATE_EPOCH}" /orchestrator

# The C library, certificates and zones, and nothing else: no shell, no package manager, nobody to become.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="orchestrator" \
      org.opencontainers.image.description="A Kubernetes operator that runs orchestrations: DAGs of activities" \
      org.opencontainers.image.licenses="Apache-2.0"
# Not in /orchestrator: there an activity finds its input, in this image too.
COPY --from=build /orchestrator /usr/local/bin/orchestrator
# A number, so that runAsNonRoot can be checked without a user database.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/orchestrator"]
CMD ["controller"]
