/* eslint-disable @typescript-eslint/no-explicit-any */
type Manifest = any;

/**
 * What Kubernetes would say of a connection between two pods of our namespace: the egress of the one and the ingress of the other must
 * both be allowed by a policy (with a default deny in force). Pods are told apart by their name label alone.
 */
export function mayReach(policies: readonly Manifest[], from: string, to: string, port: number): boolean {
  const allows = (direction: 'Egress' | 'Ingress', subject: string, peer: string) =>
    policies
      .filter(({ spec }) => spec.policyTypes.includes(direction) && selects(spec.podSelector, subject))
      .flatMap(({ spec }): Manifest[] => spec[direction.toLowerCase()] ?? [])
      .some(
        (rule) =>
          (rule[direction === 'Egress' ? 'to' : 'from'] as Manifest[]).some(
            ({ podSelector }) => podSelector && selects(podSelector, peer),
          ) && (rule.ports as Manifest[]).some((each) => each.port === port || each.port === 'http'),
      );
  return allows('Egress', from, to) && allows('Ingress', to, from);
}

const LABEL = 'app.kubernetes.io/name';

function selects(selector: Manifest, name: string): boolean {
  const wanted: string | undefined = selector.matchLabels?.[LABEL];
  if (wanted !== undefined && wanted !== name) return false;
  return ((selector.matchExpressions ?? []) as Manifest[]).every(
    ({ operator, values }) => (values as string[]).includes(name) === (operator === 'In'),
  );
}
