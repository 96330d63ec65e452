# syntax=docker/dockerfile:1

# The compiler that the project is tested with. On Alpine it links statically against musl.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache ca-certificates gcc musl-dev
WORKDIR /build
COPY . .
# The caches are not part of the image, so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && \
    cp target/release/orchestrator /orchestrator

# Nothing but the binary: no shell, no package manager, nobody to become.
FROM scratch
LABEL org.opencontainers.image.title="orchestrator" \
      org.opencontainers.image.description="A Kubernetes operator that runs orchestrations: DAGs of activities" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /orchestrator /orchestrator
# A number, so that runAsNonRoot can be checked without a user database.
USER 65532:65532
ENTRYPOINT ["/orchestrator"]
CMD ["controller"]
