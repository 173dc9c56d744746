import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { loadConfig, readConfig, requireFor } from '../../config.js';
import { TASK_QUEUES } from '../../contracts/temporal.js';
import { projectRoot } from '../../root.js';
import { temporaryFolder } from '../support/servers.js';
import { mayReach } from './network-policies.js';
import { isPinned, isSecret, portOf, standIn, unknown, version } from './settings.js';
import { INSTALL_TIMEOUT_MS, installTools, tool } from './tools.js';

/** The oldest that has all we use, and the newest that the schemas are there for. */
const KUBERNETES = ['1.30', '1.37'];
const SERVICES = ['base', 'overlays/production', 'overlays/small'];
const JOBS = ['jobs', 'overlays/production/jobs', 'overlays/small/jobs'];
const OURS = [...SERVICES, ...JOBS, 'stubs', 'keda'];
const BUILDS = [...OURS, 'monitoring'];
const ROLES: Record<string, string> = {
  'api-gateway': 'gateway',
  'auth-service': 'auth',
  'token-service': 'tokens',
  'analytics-service': 'analytics',
  worker: 'worker',
  'codec-server': 'codec-server',
  'provider-stubs': 'stubs',
};

// Objects come as Kubernetes has them; their schemas are what validates them, not types of ours.
/* eslint-disable @typescript-eslint/no-explicit-any */
type Manifest = any;

describe('ops/k8s', function () {
  this.timeout(120_000);
  const rendered = new Map<string, string>();
  const objects = new Map<string, Manifest[]>();
  const of = (build: string, kind: string): Manifest[] => (objects.get(build) ?? []).filter((object) => object.kind === kind);
  const named = (build: string, kind: string, name: string): Manifest => {
    const found = of(build, kind).filter((object) => object.metadata.name === name);
    assert.equal(found.length, 1, `${build}: ${kind} ${name}`);
    return found[0];
  };
  const pods = (builds: readonly string[]) =>
    builds.flatMap((build) =>
      ['Deployment', 'Job']
        .flatMap((kind) => of(build, kind))
        .map((object) => ({ build, name: object.metadata.name as string, spec: object.spec.template.spec })),
    );
  const containers = (builds: readonly string[]) =>
    pods(builds).flatMap(({ build, name, spec }) =>
      [...(spec.initContainers ?? []), ...spec.containers].map((container: Manifest) => ({ build, name, spec, container })),
    );
  /** The files that a container finds where LEAKY_SECRETS_DIR looks: the name of each is that of a setting. */
  const secretsOf = (spec: Manifest, container: Manifest): { name: string; key: string; from: string; optional: boolean }[] => {
    const folder = (container.env ?? []).find(({ name }: Manifest) => name === 'LEAKY_SECRETS_DIR')?.value;
    const mounts = (container.volumeMounts ?? []).filter(({ mountPath }: Manifest) => mountPath === folder);
    return mounts.flatMap((mount: Manifest) => {
      assert.equal(mount.readOnly, true);
      const volume = spec.volumes.find(({ name }: Manifest) => name === mount.name);
      return volume.projected.sources.flatMap(({ secret }: Manifest) =>
        secret.items.map((item: Manifest) => ({ name: item.path, key: item.key, from: secret.name, optional: secret.optional === true })),
      );
    });
  };
  const settings = (build: string): Record<string, string> =>
    of(build, 'ConfigMap').find(({ metadata }) => metadata.name.startsWith('leaky-config-'))?.data;

  before(async function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    installTools();
    for (const build of BUILDS) {
      const { code, stdout, stderr } = await tool('kustomize', ['build', `ops/k8s/${build}`]);
      assert.equal(code, 0, `${build}: ${stderr}`);
      rendered.set(build, stdout);
      objects.set(
        build,
        parseAllDocuments(stdout).map((document) => document.toJS() as Manifest),
      );
    }
  });

  it('renders objects that the oldest and the newest Kubernetes take, without a field too many', async () => {
    const folder = temporaryFolder('k8s');
    const files = [...SERVICES, ...JOBS]
      .filter((build) => build.startsWith('overlays/'))
      .map((build) => {
        const file = path.join(folder, `${build.replaceAll('/', '-')}.yaml`);
        writeFileSync(file, rendered.get(build) as string);
        return file;
      });
    const versions = KUBERNETES.flatMap((each) => ['--kubernetes-version', each]);
    // A kind without a schema would be a warning only.
    assert.deepEqual(await tool('kubernetes-validate', ['--strict', '--quiet', ...versions, ...files]), {
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  it('has an example for KEDA that its schema takes, on a task queue that exists', () => {
    const models = createRequire(path.join(installTools(), 'npm/node_modules/'))('@kubernetes-models/keda/keda.sh/v1alpha1') as Manifest;
    for (const object of objects.get('keda') ?? []) new models[object.kind](object).validate();
    const [scaled] = of('keda', 'ScaledObject');
    assert.deepEqual(Object.values(TASK_QUEUES).includes(scaled.spec.triggers[0].metadata.taskQueue), true);
    assert.equal(named('base', 'Deployment', scaled.spec.scaleTargetRef.name).spec.replicas, scaled.spec.minReplicaCount);
    assert.equal(scaled.spec.triggers[0].metadata.endpoint, settings('base').LEAKY_TEMPORAL_ADDRESS);
    assert.equal(scaled.spec.triggers[0].metadata.namespace, settings('base').LEAKY_TEMPORAL_NAMESPACE);
  });

  it('has an example of monitoring with the very rules and boards that are tested, on a port that every pod has', () => {
    const map = (name: string): Record<string, string> => named('monitoring', 'ConfigMap', name).data;
    for (const [name, folder, end] of [
      ['leaky-rules', 'ops/prometheus/rules', '.yml'],
      ['leaky-boards', 'ops/grafana/dashboards', '.json'],
    ] as const) {
      const files = readdirSync(path.join(projectRoot, folder)).filter((file) => file.endsWith(end));
      assert.deepEqual(Object.keys(map(name)).sort(), files.sort());
      for (const file of files) assert.equal(map(name)[file], readFileSync(path.join(projectRoot, folder, file), 'utf8'), file);
    }
    const { spec } = named('monitoring', 'PodMonitor', 'leaky-tokens');
    for (const { metadata, spec: deployment } of of('base', 'Deployment')) {
      assert.ok(spec.namespaceSelector.matchNames.includes(metadata.namespace));
      for (const { key, operator } of spec.selector.matchExpressions)
        assert.ok(operator === 'Exists' && key in deployment.template.metadata.labels, metadata.name);
      const ports = deployment.template.spec.containers[0].ports.map(({ name }: Manifest) => name);
      assert.ok(ports.includes(spec.podMetricsEndpoints[0].port), metadata.name);
    }
  });

  it('keeps everything of ours in the namespace leaky-tokens', () => {
    for (const build of OURS) {
      for (const { kind, metadata } of objects.get(build) ?? []) {
        assert.equal(kind === 'Namespace' ? metadata.name : metadata.namespace, 'leaky-tokens', `${build}: ${kind} ${metadata.name}`);
      }
    }
  });

  it('runs as many of each as agreed, and the token service scales', () => {
    for (const build of ['base', 'overlays/production']) {
      const replicas = Object.fromEntries(of(build, 'Deployment').map(({ metadata, spec }) => [metadata.name, spec.replicas]));
      assert.deepEqual(replicas, {
        'api-gateway': 2,
        'auth-service': 2,
        'token-service': 3,
        'analytics-service': 2,
        worker: 2,
        'codec-server': 1,
      });
      const { spec } = named(build, 'HorizontalPodAutoscaler', 'token-service');
      assert.deepEqual([spec.scaleTargetRef.name, spec.minReplicas], ['token-service', 3]);
    }
    assert.deepEqual(
      of('overlays/small', 'Deployment').map(({ spec }) => spec.replicas),
      [1, 1, 1, 1, 1, 1, 1],
    );
  });

  it('runs our image, in the version of the package', () => {
    for (const { build, name, container } of containers([...SERVICES, ...JOBS])) {
      assert.match(container.image, new RegExp(`(^|/)leaky-tokens:${version.replaceAll('.', '\\.')}$`), `${build}: ${name}`);
      assert.ok(isPinned(container.image));
    }
    for (const build of JOBS) assert.equal(of(build, 'Job')[0].metadata.name, `release-${version.replaceAll('.', '-')}`);
  });

  it('agrees with the configuration on commands and ports', () => {
    for (const build of SERVICES) {
      for (const { metadata, spec } of of(build, 'Deployment')) {
        const role = ROLES[metadata.name] as string;
        const [container] = spec.template.spec.containers;
        assert.deepEqual(container.args, [role]);
        assert.equal(container.ports.find(({ name }: Manifest) => name === 'http').containerPort, portOf(role), metadata.name);
        const metrics = container.ports.find(({ name }: Manifest) => name === 'metrics').containerPort;
        assert.equal(metrics, Number(settings(build).LEAKY_METRICS_PORT));
        const service = named(build, 'Service', metadata.name);
        assert.deepEqual(service.spec.selector, spec.template.metadata.labels);
        assert.deepEqual(
          service.spec.ports.map(({ name, port, targetPort }: Manifest) => ({ name, port, targetPort })),
          container.ports
            .filter(({ name }: Manifest) => name !== 'metrics')
            .map(({ name, containerPort }: Manifest) => ({ name, port: containerPort, targetPort: name })),
        );
      }
    }
  });

  it('gives every container settings that the configuration knows and takes', () => {
    for (const { build, name, spec, container } of containers([...SERVICES, ...JOBS])) {
      const env: Manifest[] = container.env ?? [];
      const map = container.envFrom === undefined ? {} : settings(build);
      for (const { configMapRef } of container.envFrom ?? []) named(build, 'ConfigMap', configMapRef.name);
      const secrets = secretsOf(spec, container);
      assert.deepEqual(
        unknown([...Object.keys(map), ...env.map((variable) => variable.name), ...secrets.map((secret) => secret.name)]),
        [],
      );
      for (const given of [secrets, secrets.filter(({ optional }) => !optional)]) {
        const folder = temporaryFolder('mounted');
        for (const secret of given) writeFileSync(path.join(folder, secret.name), standIn(secret.name));
        const login = given.some((secret) => secret.name === 'LEAKY_KAFKA_SASL_USERNAME') && {
          LEAKY_KAFKA_SASL_MECHANISM: 'scram-sha-512',
        };
        const { config, warnings } = readConfig({ ...map, ...login, ...(secrets.length > 0 && { LEAKY_SECRETS_DIR: folder }) });
        assert.deepEqual(warnings, [], `${build}: ${name}`);
        const does = ['tokens', 'worker'].includes(container.args[0]) && given === secrets;
        if (does) requireFor(config, 'providers', ...(container.args[0] === 'worker' ? (['payments'] as const) : []));
      }
    }
  });

  it('gives each service a role of its own in the database', () => {
    for (const { build, name, spec, container } of containers([...SERVICES, ...JOBS])) {
      const database = secretsOf(spec, container).filter((secret) => secret.name === 'LEAKY_POSTGRES_URL');
      const [command] = container.args;
      const has = ['gateway', 'auth', 'tokens', 'analytics', 'worker'].includes(command)
        ? [`${command}-url`]
        : command === 'migrate'
          ? ['owner-url']
          : [];
      assert.deepEqual(
        database.map(({ key }) => key),
        has,
        `${build}: ${name}`,
      );
    }
  });

  it('finds the other services under names and ports that they have', () => {
    for (const build of SERVICES) {
      const found: string[] = [];
      for (const [name, value] of Object.entries(settings(build))) {
        const [, host, port] = /^lb:\/\/([\w-]+)\.leaky-tokens\.svc\.cluster\.local:(\d+)$/.exec(value) ?? [];
        if (!host) continue;
        found.push(host);
        const { spec } = named(build, 'Service', host);
        assert.equal(spec.clusterIP, 'None', `${build}: ${host} must stand for each of its pods`);
        assert.ok(
          spec.ports.some((each: Manifest) => each.port === Number(port)),
          `${build}: ${name}`,
        );
      }
      assert.deepEqual(found.sort(), ['analytics-service', 'auth-service', 'token-service'], build);
    }
  });

  it('has secrets by reference only, and as files', () => {
    for (const build of BUILDS) assert.deepEqual(of(build, 'Secret'), []);
    for (const { build, name, container } of containers([...SERVICES, ...JOBS, 'stubs'])) {
      const told = (container.env ?? []).map((variable: Manifest) => variable.name).filter(isSecret);
      assert.deepEqual(told, [], `${build}: ${name}: secrets are files`);
    }
    for (const build of [...SERVICES, ...JOBS]) assert.deepEqual(Object.keys(settings(build)).filter(isSecret), []);
  });

  it('locks every pod down', () => {
    for (const { build, name, spec } of pods([...SERVICES, ...JOBS])) {
      assert.equal(spec.automountServiceAccountToken, false, `${build}: ${name}`);
      assert.deepEqual(spec.securityContext, {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        seccompProfile: { type: 'RuntimeDefault' },
      });
    }
    for (const { build, name, container } of containers([...SERVICES, ...JOBS])) {
      assert.deepEqual(
        container.securityContext,
        { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        `${build}: ${name}`,
      );
      assert.ok(container.resources.requests.cpu && container.resources.requests.memory && container.resources.limits.memory, name);
    }
    for (const build of SERVICES) {
      for (const { metadata, spec } of of(build, 'Deployment')) {
        if (metadata.name === 'provider-stubs') continue;
        assert.equal(named(build, 'ServiceAccount', spec.template.spec.serviceAccountName).automountServiceAccountToken, false);
      }
    }
  });

  it('asks every pod whether it has started, lives and is ready', () => {
    for (const { name, container } of containers(SERVICES)) {
      const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) => container[probe].httpGet);
      assert.deepEqual(
        probes,
        ['/health/startup', '/health/live', '/health/ready'].map((each) => ({ path: each, port: 'http' })),
        name,
      );
    }
  });

  it('gives a pod time to stop in order before it is killed', () => {
    for (const { build, name, spec } of pods(SERVICES)) {
      const limitSeconds = loadConfig(settings(build)).shutdownLimitMs / 1000;
      const preStop = spec.containers[0].lifecycle.preStop.sleep.seconds;
      assert.ok(preStop >= 5 && spec.terminationGracePeriodSeconds > preStop + limitSeconds, `${build}: ${name}`);
    }
  });

  it('spreads the pods of each service, and lets one go at a time', () => {
    for (const { metadata, spec } of of('overlays/production', 'Deployment')) {
      const labels = spec.template.metadata.labels;
      const spread = spec.template.spec.topologySpreadConstraints;
      assert.deepEqual(
        spread.map(({ topologyKey }: Manifest) => topologyKey),
        ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'],
      );
      for (const { labelSelector } of spread) assert.deepEqual(labelSelector.matchLabels, labels);
      if (spec.replicas === 1) continue;
      const budget = named('overlays/production', 'PodDisruptionBudget', metadata.name);
      assert.deepEqual(budget.spec, { maxUnavailable: 1, selector: { matchLabels: labels } });
    }
  });

  it('lets the services reach each other where they must, and nowhere else', () => {
    const names = Object.keys(ROLES).filter((name) => name !== 'provider-stubs');
    const wanted = [
      'api-gateway → analytics-service',
      'api-gateway → auth-service',
      'api-gateway → token-service',
      'analytics-service → auth-service',
      'codec-server → auth-service',
      'token-service → auth-service',
    ];
    const flows = names.flatMap((from) =>
      names
        .filter((to) => from !== to && mayReach(of('base', 'NetworkPolicy'), from, to, portOf(ROLES[to] as string)))
        .map((to) => `${from} → ${to}`),
    );
    assert.deepEqual(flows.sort(), wanted.sort());
    const reachable = (name: string) =>
      of('base', 'NetworkPolicy')
        .filter(({ spec }) => spec.podSelector.matchExpressions?.some(({ values }: Manifest) => values.includes(name)))
        .flatMap(({ spec }) => spec.egress ?? [])
        .filter(({ to }) => to.some(({ namespaceSelector }: Manifest) => namespaceSelector?.matchLabels['leaky-tokens/role'] === 'backing'))
        .flatMap(({ ports }) => ports.map(({ port }: Manifest) => port));
    assert.deepEqual(reachable('api-gateway'), [5432, 6379], 'neither brokers nor Cassandra nor Temporal');
    assert.deepEqual(reachable('auth-service'), [5432, 6379]);
    assert.deepEqual(reachable('token-service'), [5432, 6379, 7233, 9092, 9093]);
    assert.deepEqual(reachable('codec-server'), []);
    assert.deepEqual(named('base', 'NetworkPolicy', 'default-deny').spec, { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    for (const caller of ['token-service', 'worker']) {
      assert.ok(mayReach(of('overlays/small', 'NetworkPolicy'), caller, 'provider-stubs', portOf('stubs')), caller);
    }
  });
});
