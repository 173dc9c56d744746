import assert from 'node:assert/strict';
import path from 'node:path';
import { WORKFLOWS } from '../../contracts/temporal.js';
import { describeHistory, writeHistory } from '../../adapters/temporal/history-json.js';
import { distRoot } from '../../root.js';
import { createLogger } from '../../telemetry/log.js';
import { installTemporalRuntime } from '../../telemetry/temporal-runtime.js';
import { replayHistories, type Verdict } from '../../workers/replay.js';
import { changedBundle } from './changed-bundle.js';
import { changedName, CHANGES, type Change } from './changes.js';
import { localActivitiesOf, recordings, renamed } from './histories.js';

describe('replay', function () {
  this.timeout(60_000);
  const recorded = recordings();
  const typeOf = (name: string) => describeHistory(recorded.find((each) => each.name === name)?.history ?? {}).workflowType;
  before(() => installTemporalRuntime(createLogger('silent')));

  async function replay(...args: Parameters<typeof replayHistories>): Promise<Map<string, Verdict>> {
    const verdicts = new Map<string, Verdict>();
    for await (const verdict of replayHistories(...args)) verdicts.set(verdict.recording.name, verdict);
    return verdicts;
  }

  it('has a recording of every workflow', () => {
    assert.deepEqual(new Set(recorded.map(({ name }) => typeOf(name))), new Set(Object.values(WORKFLOWS)));
  });

  it('needs nothing of the machine it was recorded on: recordings name no process, host or folder', () => {
    for (const { name, history } of recorded) {
      const text = writeHistory(history);
      const identities = new Set([...text.matchAll(/"identity": "([^"]*)"/g)].map(([, identity]) => identity));
      assert.deepEqual(
        [...identities].filter((identity) => !['recorder', 'history-service'].includes(identity ?? '')),
        [],
        name,
      );
      assert.doesNotMatch(text, /\d@|file:\/\/|\/(?:home|root|tmp|Users)\//, name);
    }
  });

  it('succeeds for every recorded history on the current workflows', async () => {
    const verdicts = await replay(path.join(distRoot, 'workflow-bundle.js'), recorded);
    assert.equal(verdicts.size, recorded.length);
    assert.deepEqual(
      [...verdicts.values()].filter(({ ok }) => !ok).map(({ recording, detail }) => `${recording.name}: ${detail}`),
      [],
    );
  });

  it('of a batch with many items keeps its order: a batch is one local activity a step, however many items it has', () => {
    const many = recorded.find(({ name }) => name === 'consumption-many-items');
    assert.deepEqual(localActivitiesOf(many?.history ?? {}), ['reserveTokens', 'callProviders', 'publishUsage']);
  });

  describe('on a carelessly changed workflow', () => {
    let verdicts: Map<string, Verdict>;
    before('bundle the changed workflows and replay each', async function () {
      this.timeout(60_000);
      verdicts = await replay(await changedBundle(), CHANGES.flatMap(historiesFor));
    });

    const caseName = (change: Change, recording: string) => `${changedName(change)} ${recording}`;
    const concerned = (change: Change) => recorded.filter(({ name }) => typeOf(name) === change.workflow);
    const historiesFor = (change: Change) =>
      concerned(change).map(({ name, history, workflowId }) => ({
        name: caseName(change, name),
        workflowId,
        history: renamed(history, changedName(change)),
      }));

    for (const change of CHANGES) {
      it(`fails for exactly the histories that went through the change: ${change.workflow}, ${change.name}`, () => {
        const expected = concerned(change).map(({ name, history }) => [name, !change.breaks(history)]);
        const actual = concerned(change).map(({ name }) => [name, verdicts.get(caseName(change, name))?.ok]);
        assert.deepEqual(actual, expected);
      });
    }
  });
});
