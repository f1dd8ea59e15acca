# One stage per role, each with only what it needs: target (fly: the same, on a volume), worker, master.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /app

FROM base AS build-target
COPY requirements.lock deploy/requirements-target.txt ./
RUN python3 -m venv /opt/venv \
    && pip install --no-cache-dir --constraint requirements.lock --requirement requirements-target.txt

FROM base AS build-worker
COPY requirements.lock deploy/requirements-worker.txt ./
RUN python3 -m venv /opt/venv \
    && pip install --no-cache-dir --constraint requirements.lock --requirement requirements-worker.txt

FROM build-worker AS build-master
COPY deploy/requirements-master.txt ./
RUN pip install --no-cache-dir --constraint requirements.lock --requirement requirements-master.txt

FROM base AS target
COPY --from=build-target /opt/venv /opt/venv
COPY payments_api payments_api
COPY deploy/outlive.py deploy/outlive.py
# Makes its commands work in any directory: shells on Fly don't start in this one.
ENV PYTHONPATH=/app
USER 10001:10001
ENTRYPOINT ["python", "-m", "payments_api"]

# Runs as root only until the volume belongs to the API's user.
FROM target AS fly
COPY deploy/fly/start.py deploy/fly/start.py
USER root
ENTRYPOINT ["python", "/app/deploy/fly/start.py"]

FROM base AS worker
COPY --from=build-worker /opt/venv /opt/venv
COPY loadproof loadproof
COPY locustfiles locustfiles
COPY deploy/secret.py deploy/secret.py
# A new volume takes its owner from the directory on which it is first mounted.
RUN install -d -o 10001 -g 10001 -m 0755 /run/loadproof
USER 10001:10001
ENTRYPOINT ["python", "-m", "loadproof"]
CMD ["worker", "master"]

FROM base AS master
COPY --from=build-master /opt/venv /opt/venv
COPY loadproof loadproof
COPY locustfiles locustfiles
COPY analysis analysis
COPY scenarios scenarios
COPY deploy/compose-target.yaml deploy/compose-target.yaml
USER 10001:10001
ENTRYPOINT ["python", "-m", "loadproof"]
