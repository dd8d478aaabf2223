{# Brian2's state update; where every neuron draws one random number, those of a block of neurons are drawn at once: the
   same numbers, in the same order. #}
{# USES_VARIABLES { N } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}

{% block maincode %}
    // scalar code
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    const int _N = {{constant_or_scalar('N', variables['N'])}};
    {% set _block_code = vector_code|text|with_uniform_blocks(variables) %}
    {% if '_uniform[' in _block_code %}
    const int _block = 256;
    double _uniform[_block];
    for(int _start=0; _start<_N; _start+=_block)
    {
        const int _length = _N - _start < _block ? _N - _start : _block;
        brian::_random_generators[0].gen.fill(_uniform, _length);
        for(int _k=0; _k<_length; _k++)
        {
            const int _idx = _start + _k;
            const size_t _vectorisation_idx = _idx;
            {{_block_code|autoindent}}
        }
    }
    {% else %}
    for(int _idx=0; _idx<_N; _idx++)
    {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
    {% endif %}
{% endblock %}
