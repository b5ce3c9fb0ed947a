# atrous on a CPU.
#
#   docker build -t atrous .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" atrous train cells --minutes 30 --out runs/cells

FROM node:22-slim AS page
WORKDIR /source/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.11-slim AS build
WORKDIR /source
RUN python -m venv /opt/atrous
# PyTorch's own build for CPUs: that of PyPI brings gigabytes of libraries for NVIDIA's processors.
COPY constraints.txt ./
RUN /opt/atrous/bin/pip install --no-cache-dir -c constraints.txt \
    --index-url https://download.pytorch.org/whl/cpu torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY atrous/ atrous/
COPY packages/ packages/
COPY --from=page /source/atrous/serve/static/ atrous/serve/static/
ARG EXTRAS=pretrained,formats,serve
RUN /opt/atrous/bin/pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]" ./packages/atrous-models

FROM python:3.11-slim
RUN useradd --uid 1000 --home-dir /tmp --no-create-home atrous
COPY --from=build /opt/atrous /opt/atrous
ENV PATH=/opt/atrous/bin:$PATH HOME=/tmp
USER atrous
WORKDIR /data
ENTRYPOINT ["atrous"]
CMD ["--help"]
