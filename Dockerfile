# hmean serve: no root, a root file system that may be read-only, no network access at run time. /tmp takes the large
# files of forms (multipart/form-data) while they are read.
#
#   docker build -t hmean .
#   docker run --read-only --tmpfs /tmp --cap-drop=ALL --security-opt=no-new-privileges -p 127.0.0.1:8000:8000 -e HMEAN_API_KEY hmean
#   docker run ... -v $PWD/model.onnx:/model.onnx:ro hmean model=/model.onnx
#
# The tests do not build it: they have no container engine.
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/
RUN pip install --no-cache-dir -c /wheels/constraints.txt "$(echo /wheels/hmean-*.whl)[web]" && rm -r /wheels
# Kernels are compiled here, not at each start. A volume is writable under --read-only and starts with what the image holds:
# on another kind of processor they are compiled again, into it.
ENV NUMBA_CACHE_DIR=/var/cache/numba PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --no-create-home hmean && install -d -o hmean /var/cache/numba
USER 10001
RUN python -c "from hmean.web.warm_up import compile_kernels; compile_kernels()"
VOLUME /var/cache/numba
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s --interval=10s --timeout=3s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
# Without HMEAN_API_KEY it does not start: 0.0.0.0 is open to others.
ENTRYPOINT ["hmean", "serve", "host=0.0.0.0"]
