# The worker as an image: docs/containers.md says how it is built and run, and how large it is.
#   docker build -t stream-adapter .                              for CPUs
#   docker build -t stream-adapter:cuda --build-arg VARIANT=cuda . for NVIDIA GPUs
ARG BASE=docker.io/library/python:3.11.15-slim-bookworm

FROM ${BASE} AS build
ARG VARIANT=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_REQUIRE_VIRTUALENV=1 \
    HNSWLIB_NO_NATIVE=1
# hnswlib has no wheels. Without HNSWLIB_NO_NATIVE it would be compiled for the processor of the machine that builds it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/tools \
    && python3 -m venv --without-pip /opt/stream-adapter
WORKDIR /src

# Three trees that become three layers below: a change of the code moves megabytes, not torch.
COPY deploy/requirements/torch-${VARIANT}.txt requirements/torch.txt
RUN set -- ; if [ "${VARIANT}" = cpu ]; then set -- --extra-index-url "${TORCH_INDEX}"; fi \
    && /opt/tools/bin/pip --python /opt/stream-adapter/bin/python install --prefix /trees/torch \
        --require-hashes --no-deps "$@" --requirement requirements/torch.txt \
    # What only compilers and developers read: headers, static and device libraries, and below other projects' tests.
    && packages=$(echo /trees/torch/lib/python3*/site-packages) \
    && rm -rf "${packages}"/torch/include "${packages}"/torch/share \
    && find "${packages}"/torch/bin -type f ! -name torch_shm_manager -delete \
    && find "${packages}" -type d -path '*/nvidia/*/include' -prune -exec rm -rf {} + \
    && find "${packages}" -path '*/nvidia/*' \( -name '*.a' -o -name '*.bc' \) -delete

COPY deploy/requirements/base.txt deploy/requirements/build.txt requirements/
RUN /opt/tools/bin/pip install --require-hashes --no-deps --requirement requirements/build.txt \
    && /opt/tools/bin/pip wheel --require-hashes --no-deps --no-build-isolation --wheel-dir /wheels \
        --requirement requirements/base.txt \
    && /opt/tools/bin/pip --python /opt/stream-adapter/bin/python install --prefix /trees/base \
        --no-index --no-deps /wheels/*.whl \
    && rm -rf /wheels \
    && for name in networkx sympy; do \
        find /trees/base/lib/python3*/site-packages/"${name}" -type d -name tests -prune -exec rm -rf {} +; done

COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY deploy/local-kafka/pom.xml deploy/local-kafka/pom.xml
COPY stream_adapter stream_adapter
RUN /opt/tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/tools/bin/pip --python /opt/stream-adapter/bin/python install --prefix /trees/package \
        --no-index --no-deps /wheel/*.whl


FROM ${BASE} AS image
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libjemalloc2 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 stream-adapter \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/stream-adapter \
        --shell /usr/sbin/nologin stream-adapter \
    && install --directory /etc/stream-adapter \
    && install --directory --owner=10001 --group=10001 /var/lib/stream-adapter
COPY --from=build /opt/stream-adapter /opt/stream-adapter
COPY --from=build /trees/torch /opt/stream-adapter
COPY --from=build /trees/base /opt/stream-adapter
COPY --from=build /trees/package /opt/stream-adapter
COPY deploy/container/healthcheck.py /opt/stream-adapter/healthcheck.py
# Weights are in the image or mounted: nothing is downloaded unless HF_HUB_OFFLINE=0 asks for it, and then into the state
# folder. The rest of what libraries would write below a home goes to /tmp, so that the root may be read-only.
# With jemalloc a worker stays as large as it was, and is no slower (docs/performance.md); one arena: each has its gaps.
ENV PATH=/opt/stream-adapter/bin:${PATH} \
    LD_PRELOAD=libjemalloc.so.2 \
    MALLOC_CONF=background_thread:true,narenas:1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    HF_HOME=/var/lib/stream-adapter/huggingface \
    XDG_CACHE_HOME=/tmp/cache \
    STREAM_ADAPTER_PORT=8080
USER 10001:10001
WORKDIR /var/lib/stream-adapter
# An image that lacks something fails here and not at its first start.
RUN ["python", "-c", "import stream_adapter.service.main; assert 'libjemalloc' in open('/proc/self/maps').read()"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# HTTP answers while a model loads; only then it may look stuck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python3", "-I", "-S", "/opt/stream-adapter/healthcheck.py"]
ENTRYPOINT ["stream-adapter"]
CMD ["run", "/etc/stream-adapter/worker.yaml"]
# Last, because they differ from build to build and nothing after them comes from the cache.
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="stream-adapter" \
      org.opencontainers.image.description="Keeps a frozen CLIP learning from a live stream of labelled images" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
