# tuneglm in a container. `docker build -t tuneglm .` takes torch's usual build for Linux, which
# runs on CUDA (with --gpus all) and without. A smaller build for processors alone lies in torch's
# own index: docker build --build-arg TORCH_INDEX=THAT_INDEX -t tuneglm:cpu .
FROM python:3.12-slim

ARG TORCH_INDEX=""
ARG EXTRAS="quant,web,api,eval"

WORKDIR /opt/tuneglm
# libraries first, by the tested versions: a change of ours does not fetch them anew
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]"

# who works in it owns no more than the folder that is mounted here
RUN useradd --create-home tuneglm
USER tuneglm
WORKDIR /work
VOLUME ["/work"]
EXPOSE 7860 8000

ENTRYPOINT ["tuneglm"]
CMD ["--help"]
