# qnewton with pictures and pages, on PyTorch's CPU build, as a user without rights.
#
#   docker build -t qnewton --build-arg PIP_EXTRA_INDEX_URL=ADDRESS .
#   docker run --rm -v "$PWD/runs:/home/newton/runs" qnewton
#
# The default command is that of `make run`; any other takes its place: docker run --rm qnewton
# qnewton price --n 12544 --kappa 1e4. The folder that is mounted must be writable for user 1000.
FROM python:3.11-slim

# Give PyTorch's index of CPU builds: the builds that are found without it bring CUDA, ten times as
# large. pip reads this variable.
ARG PIP_EXTRA_INDEX_URL=

RUN useradd --create-home --uid 1000 newton
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt '.[report]' \
    && rm -rf /src/*

USER 1000
WORKDIR /home/newton
CMD ["qnewton", "compare", "digits"]
