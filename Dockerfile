# The program alone, as `make release` builds it. There is no HEALTHCHECK, which would need a program that asks: whoever runs containers asks /readyz.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG RELEASE_COMMIT=
ARG RELEASE_DATE=
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make program RELEASE_COMMIT="$RELEASE_COMMIT" RELEASE_DATE="$RELEASE_DATE" && mkdir /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/LICENSE /src/rollcall /
# SQLite's file is here by default, so this is a volume; nothing else is written.
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /data
USER 65532:65532
ENV ROLLCALL_LISTEN=:8080
EXPOSE 8080
ENTRYPOINT ["/rollcall"]
