# One image for every service; the command names it: `tokens`, `gateway`, `worker`, `migrate` …
FROM node:20.20.2-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

FROM base AS dependencies
COPY scripts/image.sh scripts/
RUN scripts/image.sh dependencies

FROM base AS program
RUN npm ci --ignore-scripts
COPY . .
RUN scripts/image.sh program

FROM base AS runtime
ENV NODE_ENV=production \
    LEAKY_HOST=0.0.0.0 \
    KAFKAJS_NO_PARTITIONER_WARNING=1
COPY --from=dependencies /app/node_modules node_modules
COPY --from=program /app/out ./
# A number, so that Kubernetes can see that it is not root.
USER 1000:1000
EXPOSE 8080 8081 8082 8083 8084 8085 8091 8092 8093
# Node is the first process and gets the signals itself; it starts no children here.
ENTRYPOINT ["node", "dist/leaky.js"]
CMD ["--help"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --start-interval=2s --retries=3 CMD ["node", "dist/leaky.js", "health"]
