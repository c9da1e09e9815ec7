"""RestoreProof: restores every backup into throwaway servers and proves what came back.

One run, from policy to signed report (``restoreproof.audit.AuditRun``):

1. ``policy_file``  reads policy.yaml: what is promised. Every mistake is reported with its line.
2. ``audit``        prepares: signing identity, images, sources. Nothing is written before.
3. ``jobs``         has each engine back its component up into the ``vault``, with a fingerprint
                    taken in the backup's own instant.
4. ``audit.lose``   plays the disaster: from here on there is nothing but the vault.
5. ``restore``      restores each chosen backup into a ``sandbox``, timed step by step.
6. ``suites/``      ask their checks; ``plugin`` hands them fixtures and takes the answers.
7. ``promises``     says of each promise of the policy what the answers prove.
8. ``records``      turns all this into ``evidence``, which is sealed and written.
9. ``report``       makes the PDF from the evidence alone; ``signing`` certifies it, and
                    ``verification`` reads it as a stranger would.
"""

__version__ = "0.1.0"
