# The reader as a service, on the CPU, by a user without rights; it runs on a read-only root (compose.yaml).
# Pinned by version. Pin the digest as well where you pull it: docker buildx imagetools inspect IMAGE
FROM python:3.11.14-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt requirements-service.txt ./
# PyTorch's own index has the build for the CPU; PyPI's is made for graphics cards and several GB larger.
RUN pip install --no-deps --index-url https://download.pytorch.org/whl/cpu -c requirements.txt torch torchvision \
    && pip install -r requirements-service.txt

COPY app.py LICENSE ./
COPY .streamlit/config.toml .streamlit/
COPY chexmodel chexmodel
COPY assets assets
# What is written: caches, to /tmp and to the volume that keeps model.onnx, made at the first use of a model.
RUN python -m compileall -q app.py chexmodel \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin reader \
    && install -d -o 10001 -g 10001 /runs /var/cache/chexmodel

ENV HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    CHEXMODEL_RUNS=/runs \
    CHEXMODEL_CACHE=/var/cache/chexmodel \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_SERVER_FILE_WATCHER_TYPE=none

USER 10001:10001
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4).close()"]
CMD ["streamlit", "run", "app.py"]
