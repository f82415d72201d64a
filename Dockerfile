# One image for every service:
#
#     docker build --build-arg SERVICE=auth --tag fairlead/auth .
#
# It serves (`docker run fairlead/auth`) and migrates (`docker run fairlead/auth migrate`). It runs as a user without a
# name, on a read-only root file system, without capabilities and without a shell between the engine and the supervisor.
# BuildKit, the classic builder and buildah all build it, so it has no syntax line, no heredocs and no cache mounts.
# A release pins the base by digest: --build-arg PYTHON_TAG=3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python
ARG PYTHON_TAG=3.13-slim-bookworm

FROM ${PYTHON_IMAGE}:${PYTHON_TAG} AS build
ARG SERVICE
# Anything: the pages of Swagger UI and Redoc under /docs, 2.8 MB. Without it a service serves its OpenAPI document alone.
ARG DOCS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN test -n "${SERVICE}" || { echo "Name the service: --build-arg SERVICE=auth" >&2; exit 1; }

# The locked wheels first: this layer lasts until a lock changes. /opt/venv has no pip, it is what the image runs;
# the build backend goes into the base's own Python and stays behind in this stage.
COPY requirements/build.txt requirements/docs.txt requirements/${SERVICE}.txt requirements/
RUN python -m venv --without-pip /opt/venv \
    && pip install --require-hashes --only-binary :all: --requirement requirements/build.txt \
    && pip --python /opt/venv install --require-hashes --only-binary :all: --no-compile \
        --requirement "requirements/${SERVICE}.txt" \
    && if test -n "${DOCS}"; then pip --python /opt/venv install --require-hashes --only-binary :all: --no-compile --no-deps \
        --requirement requirements/docs.txt; fi

# Our own packages, as wheels. Bytecode is compiled once and bound to no file time: the image can't write it later, and
# the same sources give the same files.
COPY libs/framework libs/framework
COPY services/${SERVICE} services/${SERVICE}
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels ./libs/framework "./services/${SERVICE}" \
    && pip --python /opt/venv install --no-deps --no-index --no-compile wheels/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

FROM ${PYTHON_IMAGE}:${PYTHON_TAG}
ARG SERVICE
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="${SERVICE}" \
      org.opencontainers.image.description="The service ${SERVICE}, on Fairlead" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FAIRLEAD_TARGET=${SERVICE}.main:create_app \
    FAIRLEAD_HOST=0.0.0.0 \
    FAIRLEAD_PORT=8000 \
    FAIRLEAD_MANAGEMENT_HOST=0.0.0.0 \
    FAIRLEAD_MANAGEMENT_PORT=9000
EXPOSE 8000 9000
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["fairlead", "healthcheck"]
ENTRYPOINT ["fairlead"]
CMD ["serve"]
